"""The baseline: what every device says at the start and the end of each run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from bluesky import Msg
from bluesky.preprocessors import rewindable_wrapper
from bluesky.protocols import Readable, Triggerable
from bluesky.utils import MsgGenerator, all_safe_rewind, separate_devices, short_uid
from ophyd_async.core import Device, StandardDetector

from rdaq_ophyd.signals import LinkDevice

from ._around_runs import around_runs

__all__ = ["baseline"]
logger = logging.getLogger(__name__)
STREAM = "baseline"


def baseline(devices: Callable[[], Iterable[Device]]) -> Callable[[MsgGenerator[Any]], MsgGenerator[Any]]:
    """A preprocessor: read every device at the start and the end of each run, into the stream ``baseline``.

    A camera gives its configuration only: reading it would take a frame. A device whose link is closed is left out,
    with a warning: it must not fail the runs that do not use it.

    :param devices: the devices at the time of the run.
    """

    def with_baseline(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        chosen: dict[Any, list[Any]] = {}

        def opened(msg: Msg) -> MsgGenerator[Any]:
            run = yield msg
            chosen[msg.run] = found = separate_devices(_readings(devices()))
            if found:
                yield Msg("declare_stream", None, *found, name=STREAM, collect=False, run=msg.run)
                yield from _event(found, msg.run)
            return run

        def closed(msg: Msg) -> MsgGenerator[Any]:
            if found := chosen.pop(msg.run, []):
                yield from _event(found, msg.run)
            return (yield msg)

        return around_runs(plan, opened=opened, closed=closed)

    return with_baseline


def _event(devices: list[Any], run: Any) -> MsgGenerator[Any]:
    # Bare messages, those of bluesky's `trigger_and_read`: its stubs write their call stack down for each device.
    rewindable: MsgGenerator[Any] = rewindable_wrapper(_read(devices, run), all_safe_rewind(devices))
    return rewindable


def _read(devices: list[Any], run: Any) -> MsgGenerator[Any]:
    triggered = [device for device in devices if isinstance(device, Triggerable)]
    group = short_uid("trigger")
    for device in triggered:
        yield Msg("trigger", device, group=group, run=run)
    if triggered:
        yield Msg("wait", None, group=group, run=run)
    yield Msg("create", None, name=STREAM, run=run)
    try:
        for device in devices:
            yield Msg("read", device, run=run)
    except Exception:
        yield Msg("drop", None, run=run)
        raise
    yield Msg("save", None, run=run)


def _readings(devices: Iterable[Device]) -> list[Any]:
    chosen: list[Any] = []
    for device in devices:
        if isinstance(device, LinkDevice) and device._mock is None and not device.channel.link.is_open:
            logger.warning("baseline without %s: its link is closed", device.name)
        elif isinstance(device, StandardDetector):
            chosen.extend(device._config_signals)  # ophyd-async has no public way to list them
        elif isinstance(device, Readable) and not _inside(device, chosen):
            chosen.append(device)
    return chosen


def _inside(device: Device, chosen: list[Any]) -> bool:
    parent = device.parent
    while parent is not None:
        if parent in chosen:
            return True
        parent = parent.parent
    return False
