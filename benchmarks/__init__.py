"""The figures this project wants to reach, each measured beside its peer in the same run.

One module a figure: ``NAME``, ``TITLE`` and ``measure() -> Result``. ``python -m benchmarks F6 F7`` measures some,
without names all; ``--json`` prints one object as the last line; ``--quick`` is a trial run with few repetitions,
``--full`` has more of them where a figure counts failures. A run of all writes docs/reference/figures.md.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

QUICK = "RDAQ_BENCH_QUICK"
"""Environment variable that ``--quick`` sets, for this process and its children."""
FULL = "RDAQ_BENCH_FULL"
"""The same for ``--full``: figures that repeat something until it is sure do so more often."""


@dataclass(frozen=True)
class Result:
    """One figure.

    :param figure: what was measured, in ``unit``.
    :param peer: the same for the peer, or the limit.
    :param ratio: figure against peer, so that the goal compares with it.
    :param goal: what the ratio is to reach: at least, or at most if ``at_most``.
    :param notes: conditions, percentiles and the cases that are lost, one a line.
    :param also: further conditions that must hold.
    """

    figure: float
    peer: float
    ratio: float
    goal: float
    unit: str
    peer_name: str
    at_most: bool = False
    notes: Sequence[str] = ()
    also: dict[str, bool] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the goal, and everything beside it, is reached."""
        reached = self.ratio <= self.goal if self.at_most else self.ratio >= self.goal
        return reached and all(self.also.values())

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "figure": round(self.figure, 6),
            "peer": round(self.peer, 6),
            "ratio": round(self.ratio, 4),
            "goal": self.goal,
            "holds": self.holds,
            "unit": self.unit,
            "also": self.also,
            "notes": list(self.notes),
        }


def times[N](full: N, quick: N) -> N:
    """How often to do something, for how many seconds, or with what: ``full``, in a trial run ``quick``."""
    return quick if os.environ.get(QUICK) else full


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of the others lie; no interpolation, so that p99 of few is their maximum."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """``p50 / p99 / max`` of a series, as text."""
    p50, p99, most = (scale * v for v in (statistics.median(values), percentile(values, 99), max(values)))
    return f"p50 {p50:.3g} {unit}, p99 {p99:.3g} {unit}, max {most:.3g} {unit}"
