"""Conditions of the process that optics benches wait for."""

from __future__ import annotations

import math
from typing import Any

from bluesky.suspenders import SuspenderBase, SuspendFloor, SuspendWhenChanged, SuspendWhenOutsideBand
from ophyd_async.core import SignalR

from rdaq_ophyd.errors import LimitError

from ._adaptor import on_signal

__all__ = ["link_lost", "power_below", "temperature_outside"]


def power_below(
    power: SignalR[float], floor: float, *, resume: float | None = None, settle: float = 0.0, **kwargs: Any
) -> SuspenderBase:
    """Suspend while the power is below ``floor``.

    :param power: such as ``power_meter.power``.
    :param floor: in the signal's units.
    :param resume: go on above this power; default ``floor``. A little higher, it keeps plans from flickering.
    :param settle: seconds for which the power must have been good before the plan goes on.
    :param kwargs: ``pre_plan``, ``post_plan``, ``tripped_message`` of bluesky's suspenders.
    :raises LimitError: no finite numbers, or ``resume`` below ``floor``.
    """
    above = floor if resume is None else resume
    if not (math.isfinite(floor) and math.isfinite(above) and floor <= above):
        raise LimitError(f"{power.name}: floor {floor:g}, resume {above:g}", hint="finite numbers, resume >= floor")
    return on_signal(SuspendFloor, power, floor, resume_thresh=above, sleep=_seconds(settle), **kwargs)


def temperature_outside(
    temperature: SignalR[float], low: float, high: float, *, settle: float = 0.0, **kwargs: Any
) -> SuspenderBase:
    """Suspend while the temperature is not between ``low`` and ``high``.

    :param temperature: of a laser, a crystal, a room.
    :param low: in the signal's units; ``high`` too.
    :param settle: seconds for which it must have been good before the plan goes on.
    :param kwargs: as for :func:`power_below`.
    :raises LimitError: no finite numbers, or ``low`` not below ``high``.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise LimitError(f"{temperature.name}: band {low:g} to {high:g}", hint="finite numbers, low < high")
    return on_signal(SuspendWhenOutsideBand, temperature, low, high, sleep=_seconds(settle), **kwargs)


def link_lost(state: SignalR[str], *, good: str = "connected", settle: float = 0.0, **kwargs: Any) -> SuspenderBase:
    """Suspend while a device's link is not connected.

    :param state: the state of the connection, such as ``device.connection.state``.
    :param good: its value when all is well.
    :param settle: seconds for which it must have been good before the plan goes on.
    :param kwargs: as for :func:`power_below`.
    """
    return on_signal(
        SuspendWhenChanged, state, expected_value=good, allow_resume=True, sleep=_seconds(settle), **kwargs
    )


def _seconds(settle: float) -> float:
    if not 0 <= settle < math.inf:
        raise LimitError(f"settle={settle:g}", hint="seconds, 0 or more")
    return settle
