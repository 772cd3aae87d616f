"""What the author of a driver tells the suite beside the driver and its simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Motion:
    """Something that moves, and how the simulated instrument tells that it does.

    :param near: a target that is reached in a moment, in the units of the part. Not where it stands at the start.
    :param far: a target so far that the move can be interrupted on its way: one to three seconds.
    :param moving: given the simulated instrument and the time (``time.monotonic``): whether the part moves now.
    :param part: its name in the device, such as ``x``; empty for the device itself.
    :param tolerance: how far from its target it may stand at the end, in the same units.
    :param goes_on: why the instrument itself goes on to its target after a stop, such as a heater that regulates; a
        stop then only ends the wait for it. Empty for what stands still.
    """

    near: float
    far: float
    moving: Callable[[Any, float], bool]
    part: str = ""
    tolerance: float = 0.01
    goes_on: str = ""

    @property
    def title(self) -> str:
        """For the name of a test."""
        return self.part or "itself"


@dataclass(frozen=True)
class Emission:
    """A setting that lets light or power out, and how the simulated instrument tells that it does.

    :param part: name of the setting in the device, such as ``shutter``.
    :param emitting: given the simulated instrument and the time (``time.monotonic``): whether it does now.
    :param value: what is written to switch it on.
    """

    part: str
    emitting: Callable[[Any, float], bool]
    value: Any = True

    @property
    def title(self) -> str:
        """For the name of a test."""
        return self.part
