"""What a simulated bus of ELL14 tells a test."""

from __future__ import annotations

from rdaq_ophyd.sim import Port


def moving(port: Port, address: str = "0") -> bool:
    """Whether the motor at ``address`` turns."""
    return port.call(lambda now: port.instrument.rotators[address].motion is not None)


def sent(port: Port, *letters: bytes) -> list[bytes]:
    """Commands with these letters, as the bus heard them."""
    return [line for line in port.log.bytes().split(b"\r") if line[1:3] in letters]


def motions(port: Port) -> list[bytes]:
    """Commands that start a motion, as the bus heard them."""
    return sent(port, b"ma", b"mr", b"ho", b"fw", b"bw")
