"""Power against wavelength, with the detector's calibration following the source."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import numpy as np
from bluesky import plan_stubs as bps
from bluesky.protocols import Readable, Triggerable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import Capability, WavelengthTunable
from rdaq_ophyd.errors import RdaqError

from ._events import Events
from ._light import Source, darkness
from ._require import require, require_nanometres, require_range, require_reachable
from ._scan import Settle, scan
from ._units import NANOMETRES

__all__ = ["wavelength_sweep"]
logger = logging.getLogger(__name__)

Nanometres = Annotated[
    float, Field(gt=0, allow_inf_nan=False, description="wavelength, nm (above 0)", json_schema_extra=NANOMETRES)
]


def wavelength_sweep(
    source: WavelengthTunable,
    power_meter: Readable[Any],
    start: Nanometres = 750.0,
    stop: Nanometres = 850.0,
    num: Annotated[int, Field(ge=2, le=100_000, description="number of points, 2 to 100000")] = 11,
    settle: Settle = 0.2,
    light: Source = None,
) -> MsgGenerator[Any]:
    """Tune a source over wavelengths and read the power at each; a meter that has a wavelength follows the source.

    One event a point in the stream ``primary``. Without ``light`` emission and shutter are left as they are; the log
    tells when that means darkness.

    :raises RdaqError: the source has no wavelength, or ``light`` neither emission nor a shutter.
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
        yield from require_nanometres(each)
        yield from require_reachable(each, start, stop)

    def points(_: Events) -> MsgGenerator[None]:
        for nm in np.linspace(start, stop, num):
            yield from bps.checkpoint()
            yield from bps.mv(*(item for each in tuned for item in (each, float(nm))))
            if settle:
                yield from bps.sleep(settle)
            yield from _read(power_meter, tuned)

    if light is None and (dark := (yield from darkness(source))):
        logger.warning("wavelength_sweep: %s", dark)
    yield from scan("wavelength_sweep", [power_meter], [source.wavelength], num, points, light=light)


def _read(power_meter: Readable[Any], tuned: list[Any]) -> MsgGenerator[None]:
    """One event. (bluesky's own stub leaves out what is a part of another device, as a wavelength is.)"""
    if isinstance(power_meter, Triggerable):
        yield from bps.trigger(power_meter, wait=True)
    yield from bps.create("primary")
    for each in (power_meter, *tuned):
        if isinstance(each, Readable):
            yield from bps.read(each)
    yield from bps.save()
