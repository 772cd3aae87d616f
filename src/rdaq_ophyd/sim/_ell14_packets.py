"""Packets of the Elliptec bus (protocol manual, section "Data packet"): where one ends is told by its two letters."""

from __future__ import annotations

ADDRESSES = "0123456789ABCDEF"
#: Hexadecimal digits that follow the letters.
DIGITS = {
    **dict.fromkeys(["in", "gs", "gp", "gv", "gj", "go", "i1", "i2"], 0),
    **dict.fromkeys(["fw", "bw", "st", "s1", "s2", "om", "cm", "us"], 0),
    **dict.fromkeys(["ca", "ga"], 1),
    **dict.fromkeys(["is", "sv"], 2),
    **dict.fromkeys(["ma", "mr", "so", "sj"], 8),
}
#: The one whose digits may be left out or written as one or two.
HOME = "ho"
#: Longest time between two bytes of a packet, s; then it is dropped.
GAP = 2.0
#: Time without a byte after which a home command without terminator is complete, s: some five bytes.
HOME_GAP = 0.005
#: In place of letters and digits: the packet was no command, or it was never finished.
WRONG, UNFINISHED = "!wrong", "!unfinished"


class PacketReader:
    """Cuts bytes into packets such as ``0ma00004600``, or ``0`` and one of ``WRONG`` and ``UNFINISHED``.

    CR and LF between packets are ignored; within one they end it, too early.
    """

    def __init__(self) -> None:
        self._text = ""
        self._last = float("-inf")

    def take(self, value: int, now: float) -> list[str]:
        """One byte that arrived at ``now``; the packets that are complete with it."""
        packets = self.idle(now)
        self._last = now
        char = chr(value)
        if char in "\r\n":
            return packets + self._end()
        if len(self._text) < 3:
            return packets + self._head(char)
        return packets + self._data(char)

    def idle(self, now: float) -> list[str]:
        """Let time pass until ``now``; the packets that are complete with it."""
        if (due := self.due()) is None or now < due:
            return []
        text, self._text = self._text, ""
        return [text if text[1:3] == HOME else text[0] + UNFINISHED]

    def due(self) -> float | None:
        """When a pause ends what has begun; None where nothing has."""
        if not self._text:
            return None
        return self._last + (HOME_GAP if self._text[1:3] == HOME else GAP)

    def _end(self) -> list[str]:
        text, self._text = self._text, ""
        if text[1:3] == HOME:
            return [text]
        return [text[0] + WRONG] if text else []

    def _head(self, char: str) -> list[str]:
        begun = self._text + char
        if len(begun) > 1 and ("a" <= char <= "z" or (len(begun) == 3 and char in "12")):
            return self._named(begun)
        # Whatever came before was no packet; a digit may be the address of the next.
        self._text = char if char in ADDRESSES else ""
        return []

    def _named(self, begun: str) -> list[str]:
        self._text = begun
        if len(begun) < 3 or begun[1:] == HOME:
            return []
        if begun[1:] not in DIGITS:
            self._text = ""
            return [begun[0] + WRONG]
        return self._complete()

    def _data(self, char: str) -> list[str]:
        if self._text[1:3] == HOME:
            return self._home_data(char)
        if char not in ADDRESSES:
            text, self._text = self._text, ""
            return [text[0] + WRONG]
        self._text += char
        return self._complete()

    def _complete(self) -> list[str]:
        if len(self._text) < 3 + DIGITS[self._text[1:3]]:
            return []
        text, self._text = self._text, ""
        return [text]

    def _home_data(self, char: str) -> list[str]:
        text = self._text
        if char in ADDRESSES and len(text) < 5:
            self._text += char
            return []
        if "a" <= char <= "z" and len(text) > 3:
            # Its last digit was the address of this packet already.
            self._text = text[-1] + char
            return [text[:-1]]
        self._text = char if char in ADDRESSES else ""
        return [text]
