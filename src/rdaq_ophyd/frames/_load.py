"""A synthetic camera as a load: how fast its frames come, how evenly, and which of them never do."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from rdaq_ophyd.errors import LimitError


class SyntheticLoad:
    """Rate, jitter and losses; the same frames are late and lost for the same seed.

    :param rate: frames a second at most; 0 for as fast as exposure and readout allow.
    :param jitter: each frame comes late by 0 to ``jitter`` seconds, evenly spread.
    :param loss: share of the frames that are lost on the way to the host, 0 to 0.99.
    :param seed: of the random numbers.
    :raises LimitError: one of them is out of its range.
    """

    LIMITS: ClassVar = {"rate": (0.0, 1000.0), "jitter": (0.0, 10.0), "loss": (0.0, 0.99)}

    def __init__(self, rate: float = 0.0, jitter: float = 0.0, loss: float = 0.0, seed: int = 1) -> None:
        self.rate = self.check("rate", rate)
        self.jitter = self.check("jitter", jitter)
        self.loss = self.check("loss", loss)
        self._random = np.random.default_rng(seed)

    @classmethod
    def check(cls, name: str, value: float) -> float:
        """The value, if it is allowed.

        :raises LimitError: naming the range.
        """
        low, high = cls.LIMITS[name]
        if not (math.isfinite(value) and low <= value <= high):
            what = f"synthetic camera: {name} {value} is not possible"
            raise LimitError(what, hint=f"choose from {low:g} to {high:g}")
        return float(value)

    def period(self, shortest: float) -> float:
        """Seconds from frame to frame, no less than ``shortest``."""
        return max(shortest, 1 / self.rate) if self.rate else shortest

    def lateness(self) -> float:
        """How late the next frame comes, s."""
        return float(self._random.uniform(0.0, self.jitter)) if self.jitter else 0.0

    def lost(self) -> int:
        """How many frames are lost before the next one that comes."""
        return int(self._random.geometric(1 - self.loss)) - 1 if self.loss else 0
