"""Devices and signals as messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bluesky.protocols import Readable
from bluesky.utils import maybe_await
from ophyd_async.core import Device, Signal, SignalR, SignalW

from rdaq_ophyd.capabilities import Capability, capabilities, stop_capability
from rdaq_ophyd.wire import messages


def signals(device: Any) -> dict[str, Signal[Any]]:
    """The signals of a device and, with dots, those of its parts."""
    if not isinstance(device, Device):
        return {}
    return dict(_signals(device, ""))


def _signals(device: Device, before: str) -> Iterator[tuple[str, Signal[Any]]]:
    for name, child in device.children():
        if isinstance(child, Signal):
            yield before + name, child
        else:
            yield from _signals(child, f"{before}{name}.")


async def described(device: Device, name: str, *, whole: bool = False) -> messages.Device:
    """A device; ``whole``: with the signals of it and of its parts.

    :param name: by which the rig finds it.
    """
    found = capabilities(device)
    message = messages.Device(
        name=name,
        kind=type(device).__name__,
        capabilities=[each.value for each in Capability if each in found],
        stop=str(stop_capability(device)),
    )
    if isinstance(device, Readable) and Capability.MOVABLE in found:
        add_limits(message, await key_of(device))
    if whole:
        for part, child in device.children():
            if isinstance(child, Signal):
                message.signals.append(await _signal(f"{name}.{part}", child))
            else:
                message.parts.append(await described(child, f"{name}.{part}", whole=True))
    return message


async def key_of(device: Any) -> dict[str, Any]:
    """The data key of what it is hinted by."""
    keys = await maybe_await(device.describe())
    hinted = next(iter(getattr(device, "hints", {}).get("fields", [])), device.name)
    key: dict[str, Any] = keys.get(hinted, {})
    return key


def add_limits(message: Any, key: dict[str, Any]) -> None:
    """Put units and limits of a data key into a message that has places for them."""
    message.units = key.get("units") or ""
    control = key.get("limits", {}).get("control", {})
    if control.get("low") is not None and control.get("high") is not None:
        message.limits.CopyFrom(messages.Limits(low=control["low"], high=control["high"]))


async def _signal(name: str, signal: Signal[Any]) -> messages.Signal:
    message = messages.Signal(name=name, writable=isinstance(signal, SignalW), source=signal.source)
    if isinstance(signal, SignalR):
        (key,) = (await signal.describe()).values()
        message.dtype = key["dtype"]
        message.shape.extend(-1 if n is None else n for n in key["shape"])
        message.choices.extend(key.get("choices", ()))
        add_limits(message, dict(key))
    return message
