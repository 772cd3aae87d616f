"""A link with faults, the same ones for the same seed: for tests of whatever uses a link."""

from __future__ import annotations

import random
import time
from collections import deque

from rdaq_ophyd.errors import LinkClosed, LinkError, PortNotFound

from ._fate import Fate, FaultSettings, draw
from ._link import Link
from ._port_errors import vanished


class FaultyLink(Link):
    """A link over the transport of another one, which adds faults.

    Each command that is written (one write, one or more lines) draws its fate from ``seed``; what comes in until the
    next write counts as its answer and shares that fate. The same writes in the same order get the same fates.

    Faults a link hides or reports, so that a reply is the reply to its own question, or an error says why not:
    ``drop``, ``mute``, ``split``, ``duplicate``, ``disconnect``, and ``delay`` up to time-out + ``late``.

    Faults that no link can notice, since the altered bytes are a reply like any other:

    - ``flip`` and ``echo`` change what a reply says (a driver that checks its replies notices most of it);
    - an answer held back for longer than the time-out + ``late`` is taken for the reply to a later question, and so
      would be a copy that comes in after the next question went out. The copies made here follow at once.

    :param inner: the link whose transport is used; it must stay closed itself. Its settings hold here too.
    :param seed: of the faults.
    :param delay: (at least, at most) seconds from a command to its answer, evenly drawn: what comes in sooner is held
        back until then, in its order. Counted from the write, so that a busy machine does not add to it.
    :param drop: probability that bytes are lost: evenly either the whole command on its way out (the instrument hears
        nothing of it), or the answer on its way in, from a random byte on to its end.
    :param duplicate: probability that the answer comes twice: again as soon as it is complete by the framing of the
        link (an exchange with a framing of its own may get no copy).
    :param split: probability that each run of bytes of the answer is handed over in two parts, split anywhere.
    :param flip: probability that one bit of the answer is inverted.
    :param echo: probability that the command comes back in before its answer, as from a terminal.
    :param mute: probability that the instrument hears the command and carries it out, but its answer is lost.
    :param disconnect: probability that the port vanishes: evenly either before the command is written, or after it,
        with its answer lost. Noticed when the link is used; it can be opened again at once. ``unplug`` lasts.
    :raises ValueError: a setting is out of range.
    """

    def __init__(
        self,
        inner: Link,
        seed: int,
        *,
        delay: tuple[float, float] = (0.0, 0.0),
        drop: float = 0.0,
        duplicate: float = 0.0,
        split: float = 0.0,
        flip: float = 0.0,
        echo: float = 0.0,
        mute: float = 0.0,
        disconnect: float = 0.0,
    ) -> None:
        patience = inner._patience
        super().__init__(
            inner.url,
            reply=inner.reply,
            timeout=inner.timeout,
            quiet=patience.quiet,
            late=patience.late,
            babble=patience.babble,
            bound=inner._bound,
        )
        self._inner, self._seed = inner, seed
        self._faults = FaultSettings(
            delay,
            {
                "drop": drop,
                "duplicate": duplicate,
                "split": split,
                "flip": flip,
                "echo": echo,
                "mute": mute,
                "disconnect": disconnect,
            },
        )
        self._source = random.Random(seed)
        self._unplugged = self._gone = False
        self._mute_left = 0
        # What came in and when it is handed over: taken by the owner thread alone.
        self._held: deque[tuple[float, bytes]] = deque()
        self._last_due = 0.0
        self._fate, self._heard = Fate(), bytearray()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._inner).__name__} {self.url!r}, seed={self._seed}, {self._faults})"

    # -- faults on demand ---------------------------------------------------------------------------------------------

    def mute_next(self, n: int = 1) -> None:
        """The next ``n`` commands are heard, but their answers are lost; none any more after ``mute_next(0)``."""
        self._mute_left = n

    def unplug(self) -> None:
        """The port vanishes, which the link notices at once; it cannot be opened before ``replug``."""
        self._unplugged = True
        error = self._vanish()
        if (exchanger := self._exchanger) is not None:
            exchanger.lose(error)

    def replug(self) -> None:
        """The port is there again: to be opened by hand, or by a link that reopens."""
        self._unplugged = False

    # -- the transport ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._unplugged:
            raise PortNotFound(f"{self.url}: there is no such port: it was unplugged", hint="call replug()")
        if self._inner.is_open:
            raise LinkError(
                f"{self.url}: the link that should get faults is open itself, and would take away the answers",
                hint="open only the FaultyLink",
            )
        self._inner._open()
        self._held.clear()
        self._last_due = 0.0
        self._fate, self._heard = Fate(), bytearray()
        self._gone = False

    def _shut(self) -> None:
        if not self._inner.is_open:  # then it is not ours
            self._inner._shut()

    def _ready(self) -> bool:
        return self._inner._ready()

    def fileno(self) -> int | None:
        """The descriptor of the inner link: what another process writes to it meets no faults."""
        return self._inner.fileno()

    def _write(self, data: bytes) -> None:
        self._check_plugged()
        fate = draw(self._source, self._faults)
        fate.due = time.monotonic() + fate.delay
        if self._mute_left > 0:
            self._mute_left -= 1
            fate.mute = True
        if fate.gone_before:
            raise self._vanish()
        if not fate.lost:
            self._inner._write(data)
        self._fate, self._heard = fate, bytearray()
        if fate.gone_after:
            self._gone = True
        if fate.echo:
            self._hold(data, fate)

    def _read(self, seconds: float) -> bytes:
        if seconds <= 0:
            return self._read_all()
        end = time.monotonic() + seconds
        while True:
            self._check_plugged()
            now = time.monotonic()
            if self._held and self._held[0][0] <= now:
                return self._held.popleft()[1]
            until = min(end, self._held[0][0]) if self._held else end
            if end <= now:
                return b""
            self._suffer(self._inner._read(until - now))

    def _read_all(self) -> bytes:
        """All that is there, in one piece, as a port gives it."""
        self._check_plugged()
        self._suffer(self._inner._read(0.0))
        now, found = time.monotonic(), bytearray()
        while self._held and self._held[0][0] <= now:
            found += self._held.popleft()[1]
        return bytes(found)

    # -- faults -------------------------------------------------------------------------------------------------------

    def _suffer(self, data: bytes) -> None:
        """What came in meets its fate, and is held until it is due."""
        fate = self._fate
        if not data or fate.mute:
            return
        if fate.flip:
            fate.flip = False
            data = _flipped(data, int(fate.where * len(data)), fate.bit)
        if fate.cut:
            fate.cut, fate.mute = False, True  # and what still comes is lost
            data = data[: int(fate.where * len(data))]
        copy = self._copy(data) if fate.duplicate else b""
        if fate.split and len(data) > 1:
            at = 1 + int(fate.where * (len(data) - 1))
            self._hold(data[:at], fate)
            data = data[at:]
        # A copy comes together with the answer, or after it.
        joined = fate.where < 0.5
        self._hold(data + copy if joined else data, fate)
        if not joined:
            self._hold(copy, fate)

    def _copy(self, data: bytes) -> bytes:
        """All of the answer once ``data`` completes it, else nothing."""
        self._heard += data
        rest = self._heard.copy()
        while self.reply.cut(rest) is not None:
            pass
        if rest:
            return b""
        copy, self._heard = bytes(self._heard), bytearray()
        return copy

    def _hold(self, data: bytes, fate: Fate) -> None:
        if data:
            self._last_due = max(self._last_due, fate.due)
            self._held.append((self._last_due, data))

    def _check_plugged(self) -> None:
        if self._gone or self._unplugged:
            raise self._vanish()

    def _vanish(self) -> LinkClosed:
        self._gone = True
        return vanished(self.url, OSError("unplugged"))


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
