"""Parts that several test modules use; pytest puts this folder on the path."""

import asyncio

from rdaq_ophyd.sim import Instrument


class Echo(Instrument):
    """``Q<text>`` is answered with the text, anything else with silence."""

    name, baud, terminator = "echo", 115_200, b"\r"

    def split(self, line):
        return [line]

    def mnemonic(self, command):
        return command[:1]

    def execute(self, command, now):
        return command[1:].encode() + b"\r\n" if command.startswith("Q") else None

    def overlong(self, now):
        raise AssertionError("line too long")


async def until(condition) -> None:
    """Wait until ``condition()`` holds, at most 10 s."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("waited 10 s in vain")
