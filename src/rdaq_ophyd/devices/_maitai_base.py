"""What a Mai Tai and its tuning share: protocol and error buffer."""

from __future__ import annotations

from typing import ClassVar

from rdaq_ophyd.devices._maitai_errors import ErrorBuffer, Fault, raise_first
from rdaq_ophyd.link import Line, SerialSettings
from rdaq_ophyd.signals import LineProtocol, LinkDevice

TIMEOUT = 2.0
"""Seconds for a reply; the manual gives none, and at 9600 baud the longest takes 0.1 s on the line alone."""
PROTOCOL = LineProtocol(
    command_end="\n", reply=Line(b"\n"), timeout=TIMEOUT, serial=SerialSettings(baudrate=9600), encoding="latin-1"
)
"""As at power-up, without the XON/XOFF that the manual asks for."""


class MaiTaiDevice(LinkDevice):
    """The base of both."""

    protocol: ClassVar[LineProtocol] = PROTOCOL
    """That is at power-up; the USB port of newer units has 115200: ``serial=SerialSettings(115200)``. Only questions
    are answered. Never RTS/CTS, which is refused. The manual asks for XON/XOFF; units work without, and a stray XOFF
    would hold back the closing of the shutter, so it is off: ``serial=SerialSettings(9600, xonxoff=True)`` switches it
    on."""
    write_check: ClassVar[str] = "SYSTem:ERR?"

    @property
    def errors(self) -> ErrorBuffer:
        """The laser's error buffer, as far as it was read."""
        return ErrorBuffer.of(self.channel.link)

    async def check_write(self, reply: str, command: str) -> None:
        """Raise what the laser thinks of the last command.

        :raises InstrumentError: the error buffer holds something after it: 1 command, 2 execution, 32 system.
        """
        raise_first(await self.empty_errors(reply), self.name, command)

    def unheard(self, reply: str, command: str) -> None:  # noqa: ARG002 - kept for people, whatever it was about
        """Keep what the laser thought of a command whose sender was cancelled meanwhile."""
        self.errors.overhear(reply)

    async def empty_errors(self, first: str | None = None) -> list[Fault]:
        """Read the laser's error buffer until it is empty; what was in it.

        :param first: a reply to ``SYSTem:ERR?`` that was read already.
        """
        errors, channel = self.errors, self.channel
        return await errors.empty(
            lambda question: channel.exchange(question, safe=True, unheard=errors.overhear), first
        )

    async def tell_checked(self, command: str, *, safe: bool = False) -> None:
        """Send a command and, in one piece with it, the question for errors.

        :raises InstrumentError: the error buffer holds something after it: 1 command, 2 execution, 32 system.
        :raises StopLatched: everything was stopped, and it is not declared safe.
        """
        if (check := self.write_checker) is not None:
            await self.channel.checked(command, check, safe=safe)
