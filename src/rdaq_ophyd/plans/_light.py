"""Plan stubs for everything that has a wavelength, a shutter, an emission switch or an exposure, whatever its class."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Locatable, Movable
from bluesky.utils import Msg, MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import Capability, EmissionControl, ShutterControl, WavelengthTunable
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.rig import fitting_devices

from ._require import require, require_nanometres, require_reachable
from ._units import NANOMETRES

__all__ = [
    "IS_THERE_LIGHT",
    "Source",
    "close_shutter",
    "darkness",
    "lit",
    "open_shutter",
    "set_wavelength",
    "with_emission",
    "with_light",
]

#: For errors of plans that see nothing.
IS_THERE_LIGHT = "is there light? light=SOURCE opens its shutter for the measurement"

Inner = Annotated[Any, Field(description="the plan to run meanwhile; from Python only")]
Source = Annotated[
    ShutterControl | None,
    Field(description="light source whose shutter is open for the measurement only"),
]
Nanometres = Annotated[
    float, Field(gt=0, allow_inf_nan=False, description="wavelength, nm (above 0)", json_schema_extra=NANOMETRES)
]

#: Names of the values of a switch that is neither a bool nor a number, by what they mean.
_WORDS = {True: ("OPEN", "ON"), False: ("CLOSED", "CLOSE", "OFF")}


def set_wavelength(device: WavelengthTunable, nm: Nanometres) -> MsgGenerator[None]:
    """Tune a light source, or tell a detector for which wavelength it is to read; wait until it is there.

    :raises RdaqError: the device has no wavelength (names those of the rig that have one), or none in nm.
    :raises LimitError: it is no positive number, or outside the limits of the device.
    """
    require(device, Capability.WAVELENGTH_TUNABLE)
    if not (math.isfinite(nm) and nm > 0):
        raise LimitError(f"{_name(device.wavelength)} = {nm} nm", hint="give a number above 0")
    return _set_wavelength(device, nm)


def _set_wavelength(device: WavelengthTunable, nm: float) -> MsgGenerator[None]:
    yield from require_nanometres(device.wavelength)
    yield from require_reachable(device.wavelength, nm)
    yield from bps.mv(device.wavelength, nm)


def close_shutter(device: ShutterControl) -> MsgGenerator[None]:
    """Close a shutter and wait until it is closed.

    :raises RdaqError: the device has no shutter; names those of the rig that have one.
    """
    require(device, Capability.SHUTTER_CONTROL)
    return _dark(device.shutter)


def open_shutter(device: ShutterControl, inner: Inner) -> MsgGenerator[Any]:
    """Open a shutter, run a plan, and close it whatever becomes of that plan; also when the opening fails.

    A pause keeps it open. What opens is sent once: no resume repeats it.

    :param inner: a plan, or a function that makes one.
    :return: what ``inner`` returns.
    :raises RdaqError: the device has no shutter; names those of the rig that have one.
    """
    with _not_run(inner):
        require(device, Capability.SHUTTER_CONTROL)
        _check_plan(inner)
    lit: MsgGenerator[Any] = bpp.finalize_wrapper(_lit(inner, device.shutter), lambda: _dark(device.shutter))
    return lit


def with_emission(device: EmissionControl, inner: Inner) -> MsgGenerator[Any]:
    """Switch the emission on, run a plan, and switch it off whatever becomes of that plan.

    A device that wants to be armed (``armed``) is armed first. Its shutter is not touched: see ``open_shutter``.
    A pause keeps the emission. What switches on is sent once: no resume repeats it.

    :param inner: a plan, or a function that makes one.
    :return: what ``inner`` returns.
    :raises RdaqError: the device does not emit; names those of the rig that do.
    """
    with _not_run(inner):
        require(device, Capability.EMISSION_CONTROL)
        _check_plan(inner)
    armed = getattr(device, "armed", None)
    steps = [armed] if isinstance(armed, Movable) else []
    lit: MsgGenerator[Any] = bpp.finalize_wrapper(_lit(inner, device.emission, *steps), lambda: _dark(device.emission))
    return lit


def with_light(source: ShutterControl, inner: Inner) -> MsgGenerator[Any]:
    """Run a plan with the light of a source, dark before and after: its shutter is open meanwhile, and closed after it.

    Emission that is on stays on, since a laser takes minutes to be steady again; where it is off it is switched on for
    the plan, before the shutter opens, and off after it closed.

    :param source: has a shutter; with an emission only, that is switched.
    :param inner: a plan, or a function that makes one.
    :return: what ``inner`` returns.
    :raises RdaqError: the source has neither a shutter nor an emission; names those of the rig that have a shutter.
    """
    with _not_run(inner):
        if not isinstance(source, EmissionControl):
            require(source, Capability.SHUTTER_CONTROL)
        _check_plan(inner)
    return _with_light(source, inner)


def _with_light(source: Any, inner: Any) -> MsgGenerator[Any]:
    plan = open_shutter(source, inner) if isinstance(source, ShutterControl) else inner
    if isinstance(source, EmissionControl):
        with _not_run(plan):
            emits = yield from _is(source.emission, True, unknown=False)
        plan = plan if emits else with_emission(source, plan)
    return (yield from plan() if callable(plan) else plan)


def lit(source: ShutterControl | None, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
    """The same, without a source the plan alone."""
    return plan if source is None else with_light(source, plan)


def darkness(beside: Any) -> MsgGenerator[str]:
    """Which light sources in the rig of a device are dark now, and why, for people; '' where none is."""
    dark: list[str] = []
    for name, source in fitting_devices(ShutterControl, beside).items():
        try:
            if not (yield from _is(source.shutter, True)):
                dark.append(f"the shutter of {name} is closed (light={name} opens it for the measurement)")
            elif isinstance(source, EmissionControl) and not (yield from _is(source.emission, True)):
                dark.append(f"{name} does not emit (light={name} switches it on for the measurement)")
        except RdaqError as error:  # a hint must not fail what was measured
            dark.append(f"{name} does not tell ({error.what})")
    return "; ".join(dark)


def _lit(inner: Any, switch: Movable[Any], *before: Movable[Any]) -> MsgGenerator[Any]:
    with _not_run(inner):
        yield from bpp.rewindable_wrapper(_switch_on(switch, before), False)
        if not (yield from _is(switch, True)):
            raise RdaqError(
                f"{_name(switch)} is not on; it was switched on once, and that is not repeated",
                hint="was the plan paused meanwhile? start it anew",
            )
        return (yield from inner() if callable(inner) else inner)


def _switch_on(switch: Movable[Any], before: tuple[Movable[Any], ...]) -> MsgGenerator[None]:
    for part in (*before, switch):
        yield from bps.mv(part, _value(part, True))


def _dark(switch: Movable[Any]) -> MsgGenerator[None]:
    # Switched to and fro, the engine forgets what it would replay: what follows is measured in the dark.
    yield from bpp.rewindable_wrapper(bps.null(), False)
    yield from bps.mv(switch, _value(switch, False))


def _is(switch: Movable[Any], on: bool, *, unknown: bool = True) -> MsgGenerator[bool]:
    """Whether a switch is on, or off; ``unknown`` where it cannot tell, or in a rehearsal without an engine."""
    if not isinstance(switch, Locatable):
        return unknown
    location = yield Msg("locate", switch)
    return unknown if location is None else bool(location["readback"] == _value(switch, on))


def _value(switch: Movable[Any], on: bool) -> Any:
    """What to set: True or False, or the member of the switch's enum that means it."""
    kind = getattr(switch, "datatype", None)
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        return on
    for word in _WORDS[on]:
        for member in kind:
            if word in (member.name.upper(), str(member.value).upper()):
                return member
    raise RdaqError(
        f"{_name(switch)}: none of its values means {_WORDS[on][0].lower()}: {[m.value for m in kind]}",
        hint=f"name one of {', '.join(_WORDS[on])}",
    )


def _name(part: Any) -> str:
    return getattr(part, "name", "") or repr(part)


def _check_plan(inner: Any) -> None:
    if not (callable(inner) or hasattr(inner, "send") or hasattr(inner, "__iter__")) or isinstance(inner, str):
        raise RdaqError(f"{inner!r} is not a plan", hint="give a plan, such as bp.count([power_meter])")


@contextmanager
def _not_run(inner: Any) -> Iterator[None]:
    """A plan that never comes to run is closed, else bluesky warns that somebody forgot to run it."""
    try:
        yield
    except BaseException:
        close: Callable[[], None] | None = getattr(inner, "close", None)
        if close is not None and not callable(inner):
            close()
        raise
