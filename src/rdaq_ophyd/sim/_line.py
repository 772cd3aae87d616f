"""The serial line: how long bytes take, and what may be wrong with it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rdaq_ophyd.sim._instrument import Reply

#: Start bit, eight data bits, stop bit.
BITS_PER_BYTE = 10
#: Most pieces under way in one direction; a client that sends more has to wait, replies beyond it are lost.
MAX_UNDER_WAY = 16_384


@dataclass(frozen=True)
class Faults:
    """What is wrong; the default is nothing.

    :param mute: replies are swallowed (commands still act).
    :param reply_delay: seconds that replies are late.
    :param half_reply: only this many bytes of the next reply come out; the rest and all later replies stay stuck
        until the fault is taken back.
    :param babble: bytes sent unasked every ``babble_every`` seconds.
    """

    mute: bool = False
    reply_delay: float = 0.0
    half_reply: int | None = None
    babble: bytes = b""
    babble_every: float = 0.05


class Line:
    """Bytes under way in both directions.

    The schedule is the ideal one: a byte that is handled late does not make later bytes late.

    :param baud: bits per second; None: bytes arrive at once and together.
    """

    def __init__(self, baud: int | None) -> None:
        self.faults = Faults()
        self._byte_time = BITS_PER_BYTE / baud if baud else 0.0
        self._incoming: deque[tuple[float, bytes]] = deque()
        self._outgoing: deque[tuple[float, bytes]] = deque()
        self._incoming_end = self._outgoing_end = 0.0
        self._stuck = bytearray()
        self._halved = False

    @property
    def full(self) -> bool:
        """The client must wait before it sends more."""
        return len(self._incoming) >= MAX_UNDER_WAY

    def receive(self, data: bytes, now: float) -> None:
        """The client began to send ``data`` at ``now``."""
        self._incoming_end = self._schedule(self._incoming, data, max(now, self._incoming_end))

    def transmit(self, reply: Reply) -> None:
        """The instrument begins to send ``reply``, as far as the faults let it."""
        if self.faults.mute or len(self._outgoing) >= MAX_UNDER_WAY:
            return
        data = reply.data
        if self.faults.half_reply is not None:
            cut = 0 if self._halved else self.faults.half_reply
            self._stuck += data[cut:]
            self._halved, data = True, data[:cut]
        start = max(reply.at + self.faults.reply_delay, self._outgoing_end)
        self._outgoing_end = self._schedule(self._outgoing, data, start)

    def set_faults(self, faults: Faults, now: float) -> None:
        """Change what is wrong; what was stuck comes out when nothing halves replies any more."""
        self.faults, self._halved = faults, False
        if faults.half_reply is None and self._stuck:
            data, self._stuck = bytes(self._stuck), bytearray()
            self.transmit(Reply(now, data))

    def arrived(self, now: float) -> list[tuple[float, bytes]]:
        """Take what reached the instrument by ``now``, each with the time of its arrival."""
        return _take(self._incoming, now)

    def departed(self, now: float) -> list[bytes]:
        """Take what left the instrument by ``now``."""
        return [data for _, data in _take(self._outgoing, now)]

    def wake_at(self) -> float | None:
        """When the next byte is through; None if none is under way."""
        times = [queue[0][0] for queue in (self._incoming, self._outgoing) if queue]
        return min(times, default=None)

    def clear(self) -> None:
        """Lose all that is under way."""
        self._incoming.clear()
        self._outgoing.clear()
        self._stuck.clear()

    def _schedule(self, queue: deque[tuple[float, bytes]], data: bytes, start: float) -> float:
        if not data:
            return start
        if not self._byte_time:
            queue.append((start, data))
            return start
        queue.extend((start + self._byte_time * (i + 1), data[i : i + 1]) for i in range(len(data)))
        return start + self._byte_time * len(data)


def _take(queue: deque[tuple[float, bytes]], now: float) -> list[tuple[float, bytes]]:
    taken = []
    while queue and queue[0][0] <= now:
        taken.append(queue.popleft())
    return taken
