"""What went over a link: counted since it was made."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

WINDOW = 10.0
"""Seconds over which the rate is taken."""
KEPT = 1024
"""How many of the latest exchanges latencies and the rate are taken from."""
ROUND_TRIPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds of the classes in which round trips are counted; the last class has none."""


@dataclass(frozen=True)
class LinkStatistics:
    """Counts since the link was made; latencies, in seconds, of the latest 1024 exchanges.

    :param exchanges: questions that were answered.
    :param writes: commands without a reply, preempting ones included.
    :param preempted: commands that were written past everything that waited.
    :param timeouts: questions without an answer.
    :param bad_replies: answers that made no sense.
    :param resyncs: how often the input was drained to get back into step.
    :param lost: how often the port vanished.
    :param reopened: how often it came back and was accepted.
    :param coalesced: questions that were answered by an identical one that waited already.
    :param refused: commands that the stop latch refused.
    :param queued: what waits now.
    :param bytes_out: written; ``bytes_in``: read.
    :param rate: exchanges per second over the last 10 s.
    :param round_trips: how many exchanges took as long as each class of ``ROUND_TRIPS`` says, and longer than the last;
        ``round_trip_sum``: seconds that all of them took together.
    """

    exchanges: int
    writes: int
    preempted: int
    timeouts: int
    bad_replies: int
    resyncs: int
    lost: int
    reopened: int
    coalesced: int
    refused: int
    queued: int
    bytes_out: int
    bytes_in: int
    rate: float
    latency_p50: float
    latency_p99: float
    latency_max: float
    round_trips: tuple[int, ...]
    round_trip_sum: float


class Counters:
    """Counts what happens on a link, for as long as the link exists; cheap, since each exchange passes here."""

    def __init__(self) -> None:
        self.exchanges = self.writes = self.preempted = self.timeouts = self.bad_replies = self.resyncs = 0
        self.lost = self.reopened = self.coalesced = self.refused = self.bytes_out = self.bytes_in = 0
        self._latencies: deque[float] = deque(maxlen=KEPT)
        self._ends: deque[float] = deque(maxlen=KEPT)
        self._round_trips = [0] * (len(ROUND_TRIPS) + 1)
        self._round_trip_sum = 0.0

    def note_exchange(self, start: float, end: float) -> None:
        """A question was answered.

        :param start: when it was written, by the monotonic clock; ``end``: when its reply was complete.
        """
        self.exchanges += 1
        seconds = end - start
        self._latencies.append(seconds)
        self._ends.append(end)
        self._round_trips[bisect_left(ROUND_TRIPS, seconds)] += 1
        self._round_trip_sum += seconds

    def snapshot(self, *, queued: int, coalesced: int) -> LinkStatistics:
        """What there is now."""
        latencies = sorted(self._latencies.copy())
        return LinkStatistics(
            exchanges=self.exchanges,
            writes=self.writes,
            preempted=self.preempted,
            timeouts=self.timeouts,
            bad_replies=self.bad_replies,
            resyncs=self.resyncs,
            lost=self.lost,
            reopened=self.reopened,
            coalesced=self.coalesced + coalesced,
            refused=self.refused,
            queued=queued,
            bytes_out=self.bytes_out,
            bytes_in=self.bytes_in,
            rate=self._rate(),
            latency_p50=_quantile(latencies, 0.5),
            latency_p99=_quantile(latencies, 0.99),
            latency_max=latencies[-1] if latencies else 0.0,
            round_trips=tuple(self._round_trips),
            round_trip_sum=self._round_trip_sum,
        )

    def _rate(self) -> float:
        now, ends = time.monotonic(), self._ends.copy()
        recent = [end for end in ends if end > now - WINDOW]
        # More than is kept fits into the window on a fast link: then over as long as what is kept took.
        seconds = now - recent[0] if len(recent) == KEPT else WINDOW
        return len(recent) / seconds if seconds > 0 else 0.0


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
