"""A session: one rig, one RunEngine, one data directory with its catalog. All doors open the same one."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluesky import RunEngineInterrupted
from bluesky.run_engine import RunEngineResult, call_in_bluesky_event_loop
from bluesky.utils import MsgGenerator, TransitionError  # type: ignore[attr-defined] # bluesky's own name for it
from ophyd_async.core import UUIDFilenameProvider, YMDPathProvider

from rdaq_ophyd import profile
from rdaq_ophyd.catalog import EmbeddedCatalog, data_layout, hint_at_repair
from rdaq_ophyd.errors import UnknownName
from rdaq_ophyd.link import close_all
from rdaq_ophyd.publish import VARIABLE
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.signals import LinkDevice
from rdaq_ophyd.stop import StopReport
from rdaq_ophyd.stop import reset as reset_stop
from rdaq_ophyd.stop import stop_all as stop_everything
from rdaq_ophyd.watchdog import Guard

from ._at_exit import close_at_exit, forget
from ._baseline import baseline
from ._brief import brief_aborts
from ._calibrations import calibrated, keep_calibrations
from ._documents import OffLoop
from ._latched import latched
from ._positions import Positions
from ._record import load_metadata, scan_ids
from ._run_engine import make_run_engine, stop_loop
from ._settings import Settings, check_directory
from ._signals import Signals
from ._switching import short_turns

if TYPE_CHECKING:
    from rdaq_ophyd.publish import Publishing

__all__ = ["Session", "start"]
logger = logging.getLogger(__name__)


class Session:
    """What :func:`start` gives: everything a person or a program works with.

    :ivar RE: a ``bluesky.RunEngine``: documents spooled, axes stopped on pause and abort, baseline recorded.
    :ivar rig: devices by name (``session.rig["x"]``), and what failed to connect.
    :ivar catalog: Tiled beside the session; ``session.c[-1]`` is the last run.
    :ivar positions: named positions.
    :ivar signals: what Ctrl-C and SIGTERM do.
    :ivar publishing: where documents go besides, and how many did.
    :ivar plans_by: who alone begins plans here, such as a queue; empty: whoever has the session.
    """

    def __init__(self, settings: Settings, name: str, *, mock: bool = False, watchdogs: bool = True) -> None:
        self.settings = settings
        self.plans_by = ""
        self.publishing: list[Publishing] = []
        self._closing = contextlib.ExitStack()
        check_directory(settings.data_dir)
        self.layout = data_layout(settings.data_dir)
        self.profile = profile.find(name)
        self.rig: Rig = profile.load(name)
        with contextlib.ExitStack() as stack:
            self._open(stack, mock=mock, watchdogs=watchdogs)
            self._closing = stack.pop_all()
        close_at_exit(self)

    def _open(self, stack: contextlib.ExitStack, *, mock: bool, watchdogs: bool) -> None:
        if not mock:  # devices without hardware must not stop those with it
            stack.enter_context(latched(self.rig.name, person=self.settings.person))
        stack.enter_context(brief_aborts())
        stack.enter_context(short_turns())
        # Tiled takes seconds to come up: it does so while the devices connect.
        self.catalog = EmbeddedCatalog(self.settings.data_dir, rig=self.rig.name)
        if hint := hint_at_repair(self.layout):
            logger.warning("%s", hint)
        stack.callback(self.catalog.close)
        self.catalog.start()
        session_dir = self.settings.data_dir / "session"
        md = load_metadata(
            session_dir / "metadata.json", self.settings, self.rig, self.profile, profile.packaged("plans")
        )
        self.RE = make_run_engine(
            md,
            scan_id_source=scan_ids(session_dir),
            devices=lambda: self.rig.devices.values(),
            person=self.settings.person,
        )
        stack.callback(stop_loop, self.RE)
        self.signals = stack.enter_context(Signals(self.RE))
        self.RE.context_managers.append(self.signals.during_plan)
        stack.enter_context(self.RE.plan_end)
        # Closed after the devices: what is open then is what a death of this process would leave behind.
        guard = stack.enter_context(Guard(loop=self.RE.loop))
        stack.callback(close_all)
        stack.callback(self.rig.close)
        stack.callback(self._disconnect)
        paths = YMDPathProvider(UUIDFilenameProvider(), self.layout.frames, create_dir_depth=-4)
        self.rig.build({"paths": paths, "settings": self.settings})
        for device in self.rig.devices.values():
            if isinstance(device, LinkDevice):
                device.starts_watchdog = watchdogs
        keep_calibrations(self.rig, session_dir, self.settings.operator)
        call_in_bluesky_event_loop(self.rig.connect(mock=mock))
        guard.sync()
        self.positions = Positions(session_dir / "positions.json", self.rig)
        stack.callback(self.RE.clear_suspenders)
        stack.callback(self.RE.plan_end.wait)
        stack.callback(self.signals.settle)
        self._subscribe(stack)

    def _disconnect(self) -> None:
        if self.RE.answers():
            call_in_bluesky_event_loop(self.rig.disconnect(), timeout=60)
        else:  # their links close all the same
            logger.error("the event loop of the devices hangs: they are not closed one by one")

    def _subscribe(self, stack: contextlib.ExitStack) -> None:
        self.RE.subscribe(self.catalog.spool)
        if self.rig.publishes or os.environ.get(VARIABLE):
            self._publish(stack)
        self.RE.preprocessors.append(calibrated(self.rig))
        self.RE.preprocessors.append(baseline(lambda: [*self.rig.devices.values(), self.rig.calibration]))
        if self.settings.person:
            table = OffLoop(_best_effort())
            stack.callback(table.close)
            self.RE.subscribe(table)
            self.RE.context_managers.insert(0, lambda _engine: _flushed(table))

    def _publish(self, stack: contextlib.ExitStack) -> None:
        from rdaq_ophyd.publish import from_environment, publish

        for target in [*self.rig.publishes, *from_environment()]:
            self.publishing.append(publish(target))
            stack.callback(self.publishing[-1].close)
            self.RE.subscribe(self.publishing[-1])

    @property
    def c(self) -> Any:
        """The catalog of all runs in this data directory; waits for what is still on its way there."""
        return self.catalog.c

    def export(self, run: int | str = -1, folder: str | os.PathLike[str] = ".", **options: Any) -> list[Path]:
        """Write a run into files: Parquet, Arrow or CSV, a file a stream (see :func:`rdaq_ophyd.catalog.export`).

        :param run: uid or its beginning, scan number, or counted from the last.
        :param options: ``to``, ``streams``, ``frames``, ``force``.
        :return: the files.
        """
        return self.catalog.export(run, folder, **options)

    def run(self, plan: MsgGenerator[Any], /, **md: Any) -> RunEngineResult:
        """Run a plan. Without a person to answer, Ctrl-C aborts the run instead of leaving it paused.

        :raises bluesky.RunEngineInterrupted: when it was paused or aborted.
        :raises StopLatched: everything was stopped; nothing was touched.
        """
        try:
            return self.RE(plan, **md)
        except RunEngineInterrupted:
            if not self.settings.person and self.RE.state == "paused":
                try:
                    self.RE.abort("interrupted")
                except TransitionError as error:
                    logger.info("aborted already: %s", error)  # by a stop-all
            raise

    def stop_all(self, reason: str) -> StopReport:
        """Stop everything now and refuse everything else until :meth:`reset`; a plan in progress is aborted.

        From any thread. A software stop is no safety function.

        :param reason: recorded, and told to whoever is refused.
        :return: a verdict for each device.
        """
        return stop_everything(reason, by=self.settings.operator)

    def reset(self, reason: str, *, force: bool = False) -> None:
        """Accept commands again after a stop-all. Nothing starts by itself, and no plan is resumed.

        :param reason: what was found at the bench; recorded.
        :param force: also when a device is not confirmed to be safe.
        :raises StopUnconfirmed: a device is not confirmed.
        """
        reset_stop(reason, by=self.settings.operator, force=force)

    def namespace(self) -> dict[str, Any]:
        """Names for a person: devices, plans, ``RE``, ``c``, ``bp``/``bps``/``bpp``, ``positions``."""
        import bluesky.plan_stubs as bps
        import bluesky.plans as bp
        import bluesky.preprocessors as bpp

        from rdaq_ophyd import plans

        library = {name: getattr(plans, name) for name in plans.__all__}
        mine = {"RE": self.RE, "rig": self.rig, "session": self, "positions": self.positions, "c": self.c}
        return {**library, **self.rig.devices, **mine, "bp": bp, "bps": bps, "bpp": bpp}

    def plan(self, name: str) -> Any:
        """A library plan, or one of bluesky's own, by name.

        :raises UnknownName: with the nearest names.
        """
        import bluesky.plans as bp

        from rdaq_ophyd import plans

        own = {n: getattr(plans, n) for n in plans.__all__}
        theirs = {n: f for n, f in vars(bp).items() if inspect.isgeneratorfunction(f) and not n.startswith("_")}
        known = theirs | own
        if name not in known:
            raise UnknownName.among("plan", name, known)
        return known[name]

    def at_close(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` first of all when the session ends: servers and the like end before what they serve."""
        self._closing.callback(callback)

    def close(self) -> None:
        """End the session: links and resources close, documents drain (bounded), Tiled ends. Idempotent."""
        forget(self)
        self._closing.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def start(
    profile: str = "sim",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    operator: str | None = None,
    sample: str | None = None,
    person: bool = False,
    mock: bool = False,
    watchdogs: bool = True,
) -> Session:
    """Start a session: load the profile, connect its devices, start the RunEngine and the catalog.

    :param profile: name or path of a profile.
    :param data_dir: everything is written below it; default ``$RDAQ_DATA``, else ``~/rdaq-data``.
    :param operator: recorded in every run; default ``$RDAQ_OPERATOR``, else the login name.
    :param sample: recorded in every run until another is given.
    :param person: a person sits before it: live table and progress bars, a pause waits for an answer.
    :param mock: connect the devices to no hardware.
    :param watchdogs: start the watchdogs that instruments have themselves: they switch off what a session leaves.
    :raises RdaqError: with the next step; a device that fails to connect is in ``session.rig.failures`` instead.
    """
    settings = Settings(sample=sample, person=person)
    if data_dir is not None:
        settings = replace(settings, data_dir=Path(data_dir).expanduser().resolve())
    if operator is not None:
        settings = replace(settings, operator=operator)
    return Session(settings, profile, mock=mock, watchdogs=watchdogs)


def _best_effort() -> Any:
    try:
        from bluesky.callbacks.best_effort import BestEffortCallback
    except ImportError as error:
        raise UnknownName("matplotlib is not installed", hint="pip install 'rdaq-ophyd[shell]'") from error
    callback = BestEffortCallback()
    callback.disable_baseline()  # twenty rows, twice a run, would bury the data; they are in the catalog
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        callback.disable_plots()  # no screen to draw them on
    return callback


@contextlib.contextmanager
def _flushed(table: OffLoop) -> Iterator[None]:
    """After a plan, let the table finish before the prompt comes back."""
    yield
    table.flush()
