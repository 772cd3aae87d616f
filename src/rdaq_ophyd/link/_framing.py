"""Where a reply ends: cutting one reply off the front of the received bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Framing(Protocol):
    """Finds the end of one reply in a growing buffer."""

    def cut(self, buffer: bytearray) -> bytes | None:
        """Remove the first complete reply from ``buffer`` and return it without its end mark, or None if incomplete."""
        ...


@dataclass(frozen=True)
class Line:
    """A reply that ends with a mark, such as ``b"\\r\\n"``."""

    end: bytes = b"\n"

    def __post_init__(self) -> None:
        if not self.end:
            raise ValueError("Line: the end mark must be at least one byte")

    def cut(self, buffer: bytearray) -> bytes | None:
        """Remove and return the bytes before the first end mark; None while there is none."""
        at = buffer.find(self.end)
        if at < 0:
            return None
        line = bytes(buffer[:at])
        del buffer[: at + len(self.end)]
        return line


@dataclass(frozen=True)
class Fixed:
    """A reply of a known number of bytes."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"Fixed: a reply has at least 1 byte, not {self.length}")

    def cut(self, buffer: bytearray) -> bytes | None:
        """Remove and return the first ``length`` bytes; None while there are fewer."""
        if len(buffer) < self.length:
            return None
        reply = bytes(buffer[: self.length])
        del buffer[: self.length]
        return reply
