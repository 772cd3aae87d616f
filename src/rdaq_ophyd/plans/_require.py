"""What a plan asks of its devices and positions, asked before anything moves."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Checkable, HasHints, Readable
from bluesky.utils import MsgGenerator, maybe_await

from rdaq_ophyd.capabilities import PROTOCOLS, Capability, describe
from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.rig import fitting

__all__ = ["metric_of", "require", "require_nanometres", "require_range", "require_reachable"]


def require(device: Any, capability: Capability) -> None:
    """Refuse a device that cannot do something.

    :raises RdaqError: says what it can do instead, and which devices of its rig can.
    """
    protocol = PROTOCOLS[capability]
    if isinstance(device, protocol) and not isinstance(device, type):
        return
    others = ", ".join(fitting(protocol, device))
    name = getattr(device, "name", "") or repr(device)
    raise RdaqError(
        f"{name} is not {capability.value} (it is: {describe(device)})",
        hint=f"take one that is: {others}" if others else f"no device of the rig is {capability.value}",
    )


def require_range(what: str, start: float, stop: float, num: int, least: int) -> None:
    """Refuse limits that are no numbers, equal or reversed, and too few points.

    :param least: the fewest points that the plan's fit can use.
    :raises LimitError: names what is wrong.
    """
    for name, value in (("start", start), ("stop", stop)):
        if not math.isfinite(value):
            raise LimitError(f"{what} {name} = {value} is not a finite number", hint="give a number")
    if not start < stop:
        raise LimitError(f"{what} from {start:g} to {stop:g}: nothing to scan", hint="give the lower limit as start")
    if num < least:
        raise LimitError(f"{what}: {num} points are too few", hint=f"give {least} or more")


def require_reachable(axis: Any, *positions: float) -> MsgGenerator[None]:
    """Refuse positions that an axis would refuse; one that cannot say is not asked.

    :raises LimitError: or what else the axis raises.
    """
    if isinstance(axis, Checkable):
        checks = yield from bps.wait_for([lambda p=p: _checked(axis, p) for p in positions])
    elif isinstance(axis, Readable):
        checks = yield from bps.wait_for([lambda: _within_declared(axis, positions)])
    else:
        return
    for check in checks or ():  # there are none in a rehearsal without an engine
        check.result()  # the RunEngine itself does not look whether what it waited for has failed


def require_nanometres(axis: Any) -> MsgGenerator[None]:
    """Refuse a wavelength that is no number, or in another unit; one that does not say is not asked.

    :raises RdaqError: names the unit.
    """
    if isinstance(axis, Readable):
        for check in (yield from bps.wait_for([lambda: _in_nanometres(axis)])) or ():
            check.result()


async def _checked(axis: Checkable[Any], position: float) -> None:
    await maybe_await(axis.check_value(position))


async def _described(axis: Readable[Any]) -> Mapping[str, Any]:
    """What a signal, or an axis, says of the value that has its name."""
    described: Any = axis.describe()
    if isinstance(described, Awaitable):
        described = await described
    found: Mapping[str, Any] = dict(described).get(axis.name, {})
    return found


async def _in_nanometres(axis: Readable[Any]) -> None:
    key = await _described(axis)
    kind, units = key.get("dtype", "number"), key.get("units")
    if kind not in ("number", "integer"):
        raise RdaqError(f"{axis.name} is a {kind}, no wavelength", hint="name the device's signal in nm wavelength")
    if units not in (None, "", "nm"):
        raise RdaqError(f"{axis.name} is in {units}, plans set wavelengths in nm", hint=f"set it in {units}: bps.mv")


async def _within_declared(axis: Readable[Any], positions: tuple[float, ...]) -> None:
    """The limits of a signal are in its description."""
    limits = (await _described(axis)).get("limits", {}).get("control") or {}
    low, high = limits.get("low"), limits.get("high")
    for position in positions:
        if (low is not None and position < low) or (high is not None and position > high):
            raise LimitError(f"{axis.name}: {position:g} is outside the limits", hint=f"allowed: {low} to {high}")


def metric_of(device: Any, field: str = "") -> str:
    """The data key that a plan goes by: the first that the device declares (``hints``), or one of these by name.

    :raises UnknownName: the device does not declare ``field``.
    """
    fields = list(device.hints.get("fields", [])) if isinstance(device, HasHints) else []
    fields = fields or [device.name]
    if not field:
        return fields[0]
    for known in fields:
        if field in (known, known.removeprefix(f"{device.name}-")):
            return known
    raise UnknownName.among(f"metric of {device.name}", field, fields)
