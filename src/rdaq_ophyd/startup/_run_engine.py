"""One RunEngine set-up for all doors."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from typing import Any

from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from bluesky.protocols import Readable
from bluesky.utils import ProgressBarManager
from ophyd_async.core import Device, StandardDetector

from rdaq_ophyd.capabilities import Haltable

from ._interrupt import PauseOnInterrupt

__all__ = ["baseline", "halt_all", "make_run_engine", "stop_loop"]
logger = logging.getLogger(__name__)

#: States in which the RunEngine has begun to take a plan down: axes stop before the plan's own clean-up runs.
STOPPING = frozenset({"pausing", "aborting", "stopping", "halting", "suspending"})


def halt_all(devices: Collection[Device]) -> None:
    """Put the stop of every device that takes one at once (``Haltable``) on its wire. Thread-safe; never raises."""
    for device in _haltable(devices):
        try:
            device.halt()
        except Exception:  # the other axes must be stopped whatever this one's port does
            logger.exception("stop of %r did not reach its port", device)


def _haltable(devices: Collection[Device]) -> Iterator[Haltable]:
    """The outermost devices that can be halted: a controller's halt covers its axes."""
    for device in devices:
        if isinstance(device, Haltable):
            if not (isinstance(device.parent, Haltable) and device.parent in devices):
                yield device
        else:
            yield from _haltable([child for _, child in device.children()])


def make_run_engine(
    md: MutableMapping[str, Any],
    *,
    scan_id_source: Callable[[MutableMapping[str, Any]], int],
    devices: Callable[[], Collection[Device]],
    person: bool,
) -> RunEngine:
    """A RunEngine that stops the axes first, whatever takes a plan down.

    :param md: metadata, kept between sessions.
    :param devices: the rig's devices at the time of the call.
    :param person: show progress bars.
    """
    halt = functools.partial(_halt, devices)
    engine = RunEngine(
        md,
        scan_id_source=scan_id_source,
        context_managers=[functools.partial(PauseOnInterrupt, halt=halt)],
        call_returns_result=True,
    )
    engine.record_interruptions = True

    def stop_first(new: str, _old: str) -> None:
        if new in STOPPING:
            halt()

    engine.state_hook = stop_first
    if person:
        engine.waiting_hook = ProgressBarManager()
    return engine


def _halt(devices: Callable[[], Collection[Device]]) -> None:
    halt_all(devices())


def baseline(devices: Iterable[Device]) -> SupplementalData:
    """Read every configured device at the start and the end of each run, into the stream ``baseline``.

    A camera gives its configuration only: reading it would take a frame.
    """
    supplement = SupplementalData()
    for device in devices:
        if isinstance(device, StandardDetector):
            supplement.baseline.extend(device._config_signals)  # ophyd-async has no public way to list them
        elif isinstance(device, Readable) and not _inside(device, supplement.baseline):
            supplement.baseline.append(device)
    return supplement


def _inside(device: Device, chosen: list[Any]) -> bool:
    parent = device.parent
    while parent is not None:
        if parent in chosen:
            return True
        parent = parent.parent
    return False


def stop_loop(engine: RunEngine) -> None:
    """End the RunEngine's event loop and its thread; the engine is of no use afterwards."""
    loop, thread = engine.loop, engine._th  # bluesky starts this thread and has no way to end it
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    if not thread.is_alive():
        loop.close()
