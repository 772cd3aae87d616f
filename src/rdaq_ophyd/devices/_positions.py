"""Where an axis was during a fly move, and when: enough to tell where it was at the time of a frame."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
from event_model import PartialEventPage
from numpy.typing import ArrayLike, NDArray

from rdaq_ophyd.errors import LimitError


@dataclass(frozen=True)
class Positions:
    """Positions of an axis with the host's time; three arrays of shape (n,), float64, in order of time.

    :param time: in seconds since 1970: the middle between question and answer.
    :param position: in the unit of the axis.
    :param uncertainty: half of the time from question to answer, in seconds; the true time is within it.
    """

    time: NDArray[np.float64]
    position: NDArray[np.float64]
    uncertainty: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time)

    def at(self, times: ArrayLike) -> NDArray[np.float64]:
        """Positions at ``times`` (seconds since 1970, any shape), on straight lines between the samples.

        :raises LimitError: one of the times is not finite, or outside the time of the samples: that would be a guess.
        """
        wanted = np.asarray(times, dtype=np.float64)
        if not len(self):
            raise LimitError("no positions were taken", hint="they are taken between kickoff and the end of a fly move")
        outside = ~((wanted >= self.time[0]) & (wanted <= self.time[-1]))
        if outside.any():
            bad = np.atleast_1d(wanted)[np.atleast_1d(outside)]
            raise LimitError(
                f"{len(bad)} of {wanted.size} times are outside the samples, the first is {bad[0]:.6f}",
                hint=f"samples: {self.time[0]:.6f} to {self.time[-1]:.6f}",
            )
        return np.asarray(np.interp(wanted, self.time, self.position), dtype=np.float64)

    def nearest(self, times: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Positions at ``times``, and which of them were measured: outside the samples it is that of the nearest one.

        :raises LimitError: one of the times is not finite, or there are no samples.
        """
        wanted = np.asarray(times, dtype=np.float64)
        if not np.isfinite(wanted).all():
            raise LimitError(
                f"{(~np.isfinite(wanted)).sum()} of {wanted.size} times are not finite", hint="give seconds"
            )
        if not len(self):
            return self.at(wanted), np.zeros(wanted.shape, dtype=np.bool_)
        inside = np.clip(wanted, self.time[0], self.time[-1])
        return self.at(inside), np.asarray(inside == wanted)


@dataclass
class Track:
    """Collects positions, one after another.

    :ivar read: how many of them were given out.
    """

    samples: list[tuple[float, float, float]] = field(default_factory=list)
    read: int = 0

    async def take(self, ask: Callable[[], Awaitable[float]]) -> float:
        """Ask for a position and note when that was."""
        wall, begun = time.time(), time.monotonic()
        position = await ask()
        half = (time.monotonic() - begun) / 2  # the wall clock may be set meanwhile
        self.samples.append((wall + half, position, half))
        return position

    def positions(self) -> Positions:
        """What was collected until now."""
        columns = np.array(self.samples, dtype=np.float64).reshape(-1, 3).T
        return Positions(*(np.ascontiguousarray(column) for column in columns))

    def unread(self) -> list[tuple[float, float, float]]:
        """What was not given out yet."""
        new = self.samples[self.read :]
        self.read += len(new)
        return new


def event_page(name: str, samples: list[tuple[float, float, float]]) -> PartialEventPage:
    """Samples as a partial page of events of Bluesky; their time stamps are the times at which the axis was there."""
    times, places, uncertainties = (list(column) for column in zip(*samples, strict=True))
    data = {name: places, f"{name}-time": times, f"{name}-time_uncertainty": uncertainties}
    return PartialEventPage(time=times, data=data, timestamps=dict.fromkeys(data, times))
