"""Calibrations that a plan sets: kept with who set them, and why."""

from __future__ import annotations

import math
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Movable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.devices.calibration import Calibration
from rdaq_ophyd.errors import LimitError, RdaqError

__all__ = ["keep", "set_calibration"]

Text = Annotated[str, Field(min_length=1, description="the reason, recorded")]


def set_calibration(
    calibration: Movable[float],
    value: Annotated[float, Field(allow_inf_nan=False, description="in the calibration's units")],
    why: Text,
    by: Annotated[str, Field(description="who; '': the session's operator")] = "",
) -> MsgGenerator[None]:
    """Set a calibration of the rig, such as ``rig.calibration.pixel_size``, and keep it with its reason.

    A resume after a pause does not set it a second time.

    :raises LimitError: the value is not a finite number.
    :raises RdaqError: it is no calibration of a rig, or there is no reason.
    """
    owner, name = getattr(calibration, "parent", None), getattr(calibration, "name", "") or repr(calibration)
    if not isinstance(owner, Calibration):
        raise RdaqError(f"{name} is no calibration of a rig", hint="give one, such as rig.calibration.pixel_size")
    if not math.isfinite(value):
        raise LimitError(f"{name} = {value} is not a finite number", hint="give its measured value")
    if not why.strip():
        raise RdaqError(f"{name}: no reason", hint="say why it is set, for whoever looks back")
    return _set(owner.because(calibration, why.strip(), by), value)


def keep(into: Movable[float], value: float, why: str) -> MsgGenerator[None]:
    """Set what a plan has found: a calibration of a rig with its reason, anything else as it is."""
    owner = getattr(into, "parent", None)
    yield from _set(owner.because(into, why) if isinstance(owner, Calibration) else into, value)


def _set(calibration: Any, value: float) -> MsgGenerator[None]:
    yield from bpp.rewindable_wrapper(bps.mv(calibration, value), False)
