"""The other peer: pyserial, written and read by a thread that blocks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import serial

from benchmarks._instruments import STOP
from benchmarks._stops import QUESTION, TIMEOUT


class ByHand:
    """What people write when nothing else uses the port."""

    def __init__(self, url: str) -> None:
        self._port = serial.Serial(url, 19_200, timeout=TIMEOUT, exclusive=True)

    def ask(self) -> bytes:
        """Write the question, read the line."""
        self._port.write(QUESTION)
        reply: bytes = self._port.read_until(b"\n")
        if not reply.endswith(b"\n"):
            raise TimeoutError(f"{reply!r}")
        return reply

    def stop(self) -> int:
        """Write a stop; when that was begun, ns."""
        start = time.monotonic_ns()
        os.write(self._port.fileno(), STOP + b"\r")
        return start

    def ready(self) -> None:
        """Nothing is refused here."""

    def close(self) -> None:
        """Close the port."""
        self._port.close()


@contextmanager
def by_hand(url: str) -> Iterator[ByHand]:
    """An open port."""
    port = ByHand(url)
    try:
        yield port
    finally:
        port.close()
