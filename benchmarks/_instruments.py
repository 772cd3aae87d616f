"""Simulated instruments in a process of their own that tells at once when a stop arrives: ``python -m …  SPEC``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from typing import ClassVar

from rdaq_ophyd.sim import Faults, Instrument, Port, Reply, SimEsp300, serve_pty, serve_tcp

STOP = b"1ST"
"""What the bench's meter takes as a stop; an ESP300 also takes ``ST`` for all its axes."""


def tell(message: object) -> None:
    """One line of JSON to the parent. One small write: lines of several threads never mix."""
    os.write(1, json.dumps(message).encode() + b"\n")


class Ears(Instrument):
    """Tells the parent when the last byte of each stop had arrived, whatever the instrument is doing."""

    number = 0

    def feed(self, data: bytes, now: float) -> list[Reply]:
        """Take bytes; see ``Instrument``."""
        *lines, self._heard = (getattr(self, "_heard", b"") + data).split(self.terminator)
        for line in lines:
            if line.endswith(b"ST"):
                tell({"stop": self.number, "ns": int(now * 1e9)})
        return super().feed(data, now)


class Meter(Ears):
    """Answers ``1TP?`` with a number, ``ID<text>?`` with the text, ``1NC?`` with the count of texts; stops at once."""

    name: ClassVar[str] = "meter"
    baud: ClassVar[int] = 19_200
    terminator = b"\r"

    def __init__(self, *, latency: float) -> None:
        super().__init__(latency=latency)
        self.latencies = {"1ST": 0.0}
        self._echoed = 0

    def split(self, line: str) -> list[str]:
        """One command a line."""
        return [line]

    def mnemonic(self, command: str) -> str:
        """The first three characters."""
        return command[:3]

    def execute(self, command: str, now: float) -> bytes | None:  # noqa: ARG002 - the interface's
        """Carry out a command."""
        if not command.endswith("?"):
            return None
        self._echoed += command.startswith("ID")
        answers = {"1TP?": "12.3456", "1MD?": "1", "1VA?": "2.0000", "1NC?": str(self._echoed)}
        return answers.get(command, command[2:-1]).encode() + b"\r\n"

    def overlong(self, now: float) -> None:
        """No line of ours is that long."""
        raise AssertionError(f"line too long at {now}")


class Controller(Ears, SimEsp300):
    """An ESP300 that tells of stops."""


def _serve(spec: dict[str, object], number: int) -> Port:
    kinds = {"meter": Meter, "esp300": Controller}
    options = {"speed": float(str(spec["speed"]))} if spec["kind"] == "esp300" else {}
    instrument = kinds[str(spec["kind"])](latency=float(str(spec["latency"])), **options)
    instrument.number = number
    return (serve_tcp if spec["tcp"] else serve_pty)(instrument, lift_baud=not spec["limit"])


def main() -> None:
    """Serve until the parent closes our standard input; each of its lines sets the faults of all ports."""
    spec = json.loads(sys.argv[1])
    with ExitStack() as stack:
        ports = [stack.enter_context(_serve(spec, number)) for number in range(spec["count"])]
        tell([port.url for port in ports])
        for line in sys.stdin:
            for port in ports:
                port.faults = Faults(**json.loads(line))
            tell({"done": True})


if __name__ == "__main__":
    main()
