"""From what was measured to what a facility needs: on paper, each step a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

DAY = 86_400
KEPT = 3600
"""Seconds for which Redis keeps what it told (``data_ttl`` of profiles/scaled)."""


@dataclass(frozen=True)
class Costs:
    """What was measured of a set-up.

    :param run: CPU seconds of all servers for a short run with one table and one array.
    :param update: the same, for telling of more rows of one array.
    :param query: the same, for one question of a reader.
    :param run_bytes: in the databases, for a run.
    :param update_bytes: the same, for telling of more rows.
    :param told_bytes: in Redis, for telling of more rows.
    """

    run: float
    update: float
    query: float
    run_bytes: float
    update_bytes: float
    told_bytes: float


@dataclass(frozen=True)
class Facility:
    """What it takes.

    :param rigs: that acquire all day.
    :param frames: a day, of all rigs.
    :param run: frames of a run.
    :param arrays: that grow in a run: of a camera the frames, mean, max, sum and lost.
    :param queries: of readers, a second.
    """

    rigs: int = 50
    frames: float = 1e8
    run: int = 10_000
    arrays: int = 5
    queries: float = 10.0

    @property
    def runs(self) -> float:
        """Runs a day."""
        return self.frames / self.run

    @property
    def updates(self) -> float:
        """How often a second the catalog is told of more rows."""
        length = self.run / (self.frames / DAY / self.rigs)
        return self.rigs * self.arrays * deliveries(length) / length

    def needs(self, costs: Costs, load: float = 0.5) -> Needs:
        """What that takes.

        :param load: share of its cores that a server should be busy with.
        """
        told = self.updates * costs.update
        runs = self.runs / DAY * costs.run * self.arrays
        asked = self.queries * costs.query
        return Needs(
            updates=told,
            runs=runs,
            queries=asked,
            cores=(told + runs + asked) / load,
            bytes_a_day=self.runs * costs.run_bytes * self.arrays + DAY * self.updates * costs.update_bytes,
            redis=KEPT * self.updates * costs.told_bytes,
        )


@dataclass(frozen=True)
class Needs:
    """Cores busy with telling of rows, with runs, with readers; cores to have; databases and Redis, bytes."""

    updates: float
    runs: float
    queries: float
    cores: float
    bytes_a_day: float
    redis: float


def deliveries(length: float) -> float:
    """How often a run of so many seconds is delivered: see ``rest`` in ``catalog/_queue.py``.

    Whenever the worker looks, five times a second, then every hundredth of the run's age, then twice a second.
    """
    young, grown = min(length, 20.0), min(max(length, 20.0), 50.0)
    return 5 * young + 100 * log(grown / 20.0) + 2 * max(0.0, length - 50.0)


def delays(seen: Sequence[tuple[int, float]], flushed: Sequence[tuple[int, float]]) -> list[float]:
    """For each flush the seconds until its last row was read; those that were not read are left out.

    :param seen: (rows, moment) each time that more was read.
    :param flushed: (rows, moment) each time that more could have been.
    """
    found, left = [], list(seen)
    for rows, moment in flushed:
        while left and left[0][0] < rows:
            left.pop(0)
        if not left:
            break
        found.append(left[0][1] - moment)
    return found


def exponent(small: tuple[float, float], large: tuple[float, float]) -> float:
    """With which power of the first the second grows, from two pairs: 1 is in proportion, 2 the square.

    :raises ValueError: they are not positive, or the first do not differ.
    """
    if min(*small, *large) <= 0 or small[0] == large[0]:
        raise ValueError(f"no power can be told from {small} and {large}")
    return log(large[1] / small[1]) / log(large[0] / small[0])
