"""Instruments that are not the one that a driver is for."""

from __future__ import annotations

from collections.abc import Callable

from rdaq_ophyd.sim import Instrument


class Impostor(Instrument):
    """Answers every line with the same text, whatever it is asked.

    :param text: the answer, end mark included; empty for an instrument that never answers.
    :param terminator: what ends a command.
    :param baud: bits per second.
    """

    name, baud, terminator = "impostor", 9600, b"\r"

    def __init__(self, text: bytes, *, terminator: bytes = b"\r", baud: int = 9600) -> None:
        super().__init__()
        self.text = text
        self.terminator = terminator  # type: ignore[misc] # another one for each
        self.baud = baud  # type: ignore[misc]

    def split(self, line: str) -> list[str]:
        """A line is one command."""
        return [line] if line.strip() else []

    def mnemonic(self, command: str) -> str:
        """Its first two letters."""
        return command[:2]

    def execute(self, command: str, now: float) -> bytes | None:  # noqa: ARG002 - the interface's
        """The one answer."""
        return self.text or None

    def overlong(self, now: float) -> None:
        """It does not mind."""


class Loopback(Impostor):
    """A plug that sends back what it gets."""

    def execute(self, command: str, now: float) -> bytes | None:  # noqa: ARG002 - the interface's
        """The command itself."""
        return command.encode("latin-1") + self.terminator


def spoiled(instrument: Instrument, spoil: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Let every reply of ``instrument`` be changed by ``spoil``, until the function that is returned is called."""
    execute = instrument.execute

    def wrong(command: str, now: float) -> bytes | None:
        reply = execute(command, now)
        return None if reply is None else spoil(reply)

    instrument.execute = wrong  # type: ignore[method-assign]

    def restore() -> None:
        del instrument.execute

    return restore
