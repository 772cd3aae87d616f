"""Power against wavelength, with the detector's calibration following the source."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.protocols import Readable, Triggerable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import Capability, EmissionControl, ShutterControl, WavelengthTunable
from rdaq_ophyd.errors import RdaqError

from ._events import Events
from ._light import open_shutter, with_emission
from ._require import require, require_range, require_reachable
from ._scan import Settle, scan

__all__ = ["wavelength_sweep"]

Nanometres = Annotated[float, Field(gt=0, allow_inf_nan=False, description="wavelength, nm (above 0)")]


def wavelength_sweep(
    source: WavelengthTunable,
    power_meter: Readable[Any],
    start: Nanometres = 750.0,
    stop: Nanometres = 850.0,
    num: Annotated[int, Field(ge=2, le=100_000, description="number of points, 2 to 100000")] = 11,
    settle: Settle = 0.2,
    light: Annotated[bool, Field(description="switch emission and shutter on for the sweep, and off after it")] = False,
) -> MsgGenerator[Any]:
    """Tune a source over wavelengths and read the power at each; a meter that has a wavelength follows the source.

    One event a point in the stream ``primary``. Without ``light`` emission and shutter are left as they are; with it,
    both are off after the sweep, whatever becomes of it.

    :raises RdaqError: the source has no wavelength; with ``light``, it has neither emission nor a shutter.
    :raises LimitError: a wavelength that source or meter do not allow, ``stop`` not above ``start``.
    """
    require(source, Capability.WAVELENGTH_TUNABLE)
    require_range("wavelength", start, stop, num, 2)
    tuned: list[Any] = [source.wavelength]
    if isinstance(power_meter, WavelengthTunable) and power_meter is not source:
        tuned.append(power_meter.wavelength)
    if not isinstance(source.wavelength, Readable):
        raise RdaqError(f"{source.wavelength!r} cannot be read", hint="choose a source that tells its wavelength")
    for each in tuned:
        yield from require_reachable(each, start, stop)

    def points(_: Events) -> MsgGenerator[None]:
        for nm in np.linspace(start, stop, num):
            yield from bps.checkpoint()
            yield from bps.mv(*(item for each in tuned for item in (each, float(nm))))
            if settle:
                yield from bps.sleep(settle)
            yield from _read(power_meter, tuned)

    sweep = scan("wavelength_sweep", [power_meter], [source.wavelength], num, points)
    return (yield from _lit(source, sweep) if light else sweep)


def _read(power_meter: Readable[Any], tuned: list[Any]) -> MsgGenerator[None]:
    """One event. (bluesky's own stub leaves out what is a part of another device, as a wavelength is.)"""
    if isinstance(power_meter, Triggerable):
        yield from bps.trigger(power_meter, wait=True)
    yield from bps.create("primary")
    for each in (power_meter, *tuned):
        if isinstance(each, Readable):
            yield from bps.read(each)
    yield from bps.save()


def _lit(source: Any, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
    """Emission before the shutter, closed before it is off."""
    shutter, emission = isinstance(source, ShutterControl), isinstance(source, EmissionControl)
    if not (shutter or emission):
        plan.close()
        raise RdaqError(f"{source.name} has neither emission nor a shutter", hint="leave out light=True")
    if shutter:
        plan = open_shutter(source, plan)
    return with_emission(source, plan) if emission else plan
