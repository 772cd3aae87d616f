"""One RunEngine set-up for all doors."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from typing import Any, cast

from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from bluesky.protocols import Readable, Status
from bluesky.run_engine import RunEngineResult
from bluesky.utils import MsgGenerator, ProgressBarManager
from ophyd_async.core import Device, StandardDetector

from rdaq_ophyd.capabilities import Haltable
from rdaq_ophyd.errors import MoveInterrupted
from rdaq_ophyd.signals import LinkDevice

from ._interrupt import PauseOnInterrupt

__all__ = ["RigRunEngine", "baseline", "halt_all", "make_run_engine", "stop_loop"]
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
        if not isinstance(device, Haltable):
            yield from _haltable([child for _, child in device.children()])
        elif device.parent not in devices:
            yield device


class RigRunEngine(RunEngine):
    """A RunEngine that stops the axes first, whatever takes a plan down.

    The stops are on the wire before the plan's own clean-up runs. A move that ends because of them does not count
    as a failure of the plan: the pause can be resumed, and an aborted run says ``abort``, with its clean-up whole.

    :param devices: the rig's devices at the time of the call.
    :ivar signal: the last one that interrupted a plan, 0 for none.
    """

    state_hook: Any
    waiting_hook: Any

    def __init__(self, *args: Any, devices: Callable[[], Collection[Device]], **kwargs: Any) -> None:
        self._devices = devices
        self._in_flight: weakref.WeakSet[Status] = weakref.WeakSet()
        self._halted: set[Status] = set()
        self.signal = 0
        halting = functools.partial(PauseOnInterrupt, halt=self.halt_axes, note=self._note_signal)
        super().__init__(*args, context_managers=[halting], call_returns_result=True, **kwargs)
        self.record_interruptions = True
        self.state_hook = self._stop_first

    def __call__(self, *args: Any, **kwargs: Any) -> RunEngineResult:
        """Run a plan; see ``bluesky.RunEngine``."""
        return cast(RunEngineResult, super().__call__(*args, **kwargs))

    def resume(self) -> RunEngineResult:
        """Go on after a pause, from the last checkpoint; see ``bluesky.RunEngine``."""
        return cast(RunEngineResult, super().resume())

    def halt_axes(self) -> None:
        """Put the stop of every axis on its wire. Thread-safe, without waiting; never raises."""
        # Before the stops: a status that fails because of them must be known as halted already.
        self._halted = self._snapshot()
        halt_all(self._devices())

    def _snapshot(self) -> set[Status]:
        """The statuses in flight; the loop may add one meanwhile, and a signal handler must not wait for a lock."""
        for _ in range(100):
            try:
                return set(self._in_flight)
            except RuntimeError:  # the set changed during the iteration
                continue
        return set()

    def _note_signal(self, signum: int) -> None:
        self.signal = signum

    def _stop_first(self, new: str, _old: str) -> None:
        if new in STOPPING:
            self.halt_axes()

    def _add_status_to_group(self, obj: Any, status_object: Status, group: str, action: str) -> None:
        self._in_flight.add(status_object)
        super()._add_status_to_group(obj, status_object, group, action)

    def _status_object_completed(self, ret: Status, fut: Any, pardon_failures: Any) -> None:
        if ret in self._halted and not ret.success and isinstance(ret.exception(timeout=0), MoveInterrupted):
            fut.set_result(None)
        else:
            super()._status_object_completed(ret, fut, pardon_failures)


def make_run_engine(
    md: MutableMapping[str, Any],
    *,
    scan_id_source: Callable[[MutableMapping[str, Any]], int],
    devices: Callable[[], Collection[Device]],
    person: bool,
) -> RigRunEngine:
    """The RunEngine of a session.

    :param md: metadata, kept between sessions.
    :param person: show progress bars.
    """
    engine = RigRunEngine(md, scan_id_source=scan_id_source, devices=devices)
    if person:
        engine.waiting_hook = ProgressBarManager()
    return engine


def baseline(devices: Callable[[], Iterable[Device]]) -> Callable[[MsgGenerator[Any]], MsgGenerator[Any]]:
    """A preprocessor: read every device at the start and the end of each run, into the stream ``baseline``.

    A camera gives its configuration only: reading it would take a frame. A device whose link is closed is left out,
    with a warning: it must not fail the runs that do not use it.

    :param devices: the devices at the time of the run.
    """

    def with_baseline(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        wrapped: MsgGenerator[Any] = SupplementalData(baseline=_readings(devices()))(plan)
        return (yield from wrapped)

    return with_baseline


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


def stop_loop(engine: RunEngine) -> None:
    """End the RunEngine's event loop and its thread; the engine is of no use afterwards."""
    loop, thread = engine.loop, engine._th  # bluesky starts this thread and has no way to end it
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    if not thread.is_alive():
        loop.close()
