"""The client of a server."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdaq_ophyd.progress import Bars
from rdaq_ophyd.wire import FLUSH, messages

from . import _ask
from ._call import Calls
from ._catalog import open_catalog
from ._channel import PATIENCE, Channels, check_patience, credentials
from ._course import RunCourse, StateCourse
from ._device import RemoteDevice
from ._documents import Document, DocumentCourse
from ._facts import Location
from ._frames import FrameCourse
from ._gap import OnGap
from ._keeping import Keeping
from ._lag import Callback, OnBehind
from ._log import LogCourse
from ._names import Devices
from ._runs import Run
from ._samples import SampleCourse
from ._streams import Frames, LastingStream, Samples
from ._subscription import Subscription

SHOWN = 2.0
"""Seconds that a table gets for the rest of a run before ``run`` returns."""


def connect(
    address: str,
    *,
    token: str | None = None,
    certificate: str | Path | None = None,
    timeout: float = 10.0,
    patience: float = PATIENCE,
) -> Client:
    """Connect to a server.

    :param address: ``host:port``.
    :param token: what the server's owner gave you.
    :param certificate: file of the authority that signed the server's certificate; needed for TLS.
    :param timeout: seconds to wait for it.
    :param patience: seconds for which streams try to come back when the connection breaks; infinity for ever.
    :raises ServerGone: nothing answers there.
    :raises NotAllowed: the token is not known.
    """
    return Client(address, token=token, certificate=certificate, timeout=timeout, patience=patience)


class Client(Keeping):
    """A rig elsewhere; see ``connect``. Close it, or use it as a context manager."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        certificate: str | Path | None = None,
        timeout: float = 10.0,
        patience: float = PATIENCE,
    ) -> None:
        self.address = address
        check_patience(patience)
        self._channels = Channels(address, credentials(certificate))
        self._calls = Calls(self._channels, address, token, patience=patience)
        self._devices: Devices[RemoteDevice] = Devices(lambda message: RemoteDevice(self._calls, message))
        self._known = False
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        try:
            request = messages.GetStateRequest()
            self._calls.met(self._calls.ask("GetState", request, timeout=timeout).instance)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; a plan goes on, a move by hand stops. Idempotent."""
        self._calls.over.set()
        for subscription in list(self._subscriptions):
            subscription.leave()
        self._channels.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # -- devices --------------------------------------------------------------------------------------------

    @property
    def devices(self) -> Devices[RemoteDevice]:
        """All devices; asked for once, and when the server was started anew. ``refresh()`` asks now."""
        return self._devices if self._known and not self._calls.renewed else self.refresh()

    def refresh(self) -> Devices[RemoteDevice]:
        """Ask what devices there are."""
        self._devices._note(self._calls.do(_ask.devices()))
        self._known, self._calls.renewed = True, False
        return self._devices

    def reconnect(self, name: str) -> None:
        """Try a device again that failed to connect, or whose connection broke.

        :raises RdaqError: what is still wrong with it.
        """
        self._calls.do(_ask.reconnect(name))
        self.refresh()

    def read(self, *names: str) -> dict[str, Any]:
        """Readings of devices and signals, by data key."""
        return self._calls.do(_ask.read(*names))

    def where(self, *names: str) -> dict[str, Location]:
        """Where axes are, with setpoint, limits and units; all axes unless some are named."""
        return self._calls.do(_ask.locate(*names))

    # -- stop -----------------------------------------------------------------------------------------------

    def stop_all(self, reason: str = "") -> messages.StopReport:
        """Stop everything now and refuse everything else until ``reset``. A software stop is no safety function.

        :return: a verdict for each device.
        """
        return self._calls.do(_ask.stop_all(reason))

    def reset(self, reason: str, *, force: bool = False) -> None:
        """Accept commands again; nothing starts by itself.

        :param reason: what was found at the bench; recorded.
        :param force: also when a device is not confirmed to be safe.
        :raises StopUnconfirmed: a device is not confirmed.
        """
        self._calls.do(_ask.reset(reason, force))

    # -- runs -----------------------------------------------------------------------------------------------

    def plans(self) -> dict[str, messages.Plan]:
        """The plans that can be run, with their parameters."""
        return self._calls.do(_ask.plans())

    def begin(
        self,
        plan: str,
        md: Mapping[str, str] | None = None,
        *,
        progress: bool = False,
        on_gap: OnGap | None = None,
        **arguments: Any,
    ) -> Run:
        """Begin a plan; devices are given by name.

        :param md: of the start document.
        :param progress: show bars on the terminal.
        :param on_gap: called when the connection was cut meanwhile; the plan goes on, and no event is lost.
        :raises UnknownName: no such plan, parameter or device.
        :raises LimitError: a value that the plan does not take.
        :raises EngineBusy: another one is under way.
        :raises StopLatched: everything was stopped.
        """
        return self._begun(RunCourse(_ask.plan(plan, md, arguments), on_gap), progress)

    def _begun(self, course: RunCourse, progress: bool) -> Run:
        bars = Bars(sys.stderr) if progress else None
        run = Run(course.stream, LastingStream(self._calls, course), bars=bars, delivered=self._delivered)
        next(iter(run))  # it was taken
        return run

    def run(
        self,
        plan: str,
        md: Mapping[str, str] | None = None,
        *,
        progress: bool = False,
        on_gap: OnGap | None = None,
        **arguments: Any,
    ) -> Run:
        """Run a plan to its end; as ``begin`` and ``Run.wait``."""
        return self.begin(plan, md, progress=progress, on_gap=on_gap, **arguments).wait()

    def begin_script(
        self,
        script: str | Path,
        *arguments: str,
        name: str = "script.py",
        md: Mapping[str, str] | None = None,
        progress: bool = False,
        on_gap: OnGap | None = None,
    ) -> Run:
        """Begin a script there, in a process of its own; its events have what it prints, too.

        :param script: path of its file, or its source.
        :param arguments: as on the command line: ``"--num", "41"``.
        :param name: of a script that is given as its source.
        :param md: of the start document.
        :param progress: show bars on the terminal.
        :param on_gap: called when the connection was cut meanwhile; the plan goes on, and no event is lost.
        :raises LimitError: it is too long, or an argument is none that its plan takes.
        :raises RdaqError: it cannot be read here, or loaded there.
        :raises EngineBusy: a plan is under way.
        :raises StopLatched: everything was stopped.
        """
        return self._begun(RunCourse(_ask.script(script, name, arguments, md), on_gap), progress)

    def run_script(
        self,
        script: str | Path,
        *arguments: str,
        name: str = "script.py",
        md: Mapping[str, str] | None = None,
        progress: bool = False,
        on_gap: OnGap | None = None,
    ) -> Run:
        """Run a script there to its end; as ``begin_script`` and ``Run.wait``."""
        return self.begin_script(script, *arguments, name=name, md=md, progress=progress, on_gap=on_gap).wait()

    def _delivered(self, uids: list[str]) -> None:
        """Give the tables and plots of this client time for the rest of a run."""
        for subscription in list(self._subscriptions):
            for uid in uids:
                subscription.wait(uid, SHOWN)

    def pause(self, *, at_checkpoint: bool = False) -> messages.State:
        """Stop the axes and pause."""
        return self._calls.do(_ask.pause(at_checkpoint))

    def resume(self, *, accept_changes: str | None = None, told: str = "") -> messages.State:
        """Go on after a pause.

        :param accept_changes: why it is right to go on although a shutter or a laser is not as it was; recorded.
        :param told: the refusal that this answers, ``error.what``: what has changed besides is refused anew. Without
            it, whatever has changed is accepted.
        :raises ResumeRefused: a shutter or a laser changed since, a condition is not good, or there was a stop-all.
        :raises LimitError: the reason has no word, or ``told`` has no reason.
        """
        with _ask.resumed_from_here():
            return self._calls.do(_ask.resume(accept_changes, told))

    def finish(self) -> messages.State:
        """End the plan early and in order; its run counts as a success."""
        return self._calls.do(_ask.end("Finish"))

    def abort(self, reason: str = "") -> messages.State:
        """End the plan with its clean-up; its run counts as aborted."""
        return self._calls.do(_ask.end("Abort", reason))

    def halt(self) -> messages.State:
        """End the plan without its clean-up."""
        return self._calls.do(_ask.end("Halt"))

    @property
    def state(self) -> messages.State:
        """How it is now."""
        return self._calls.do(_ask.state())

    # -- streams --------------------------------------------------------------------------------------------

    def watch(self, *, on_gap: OnGap | None = None) -> LastingStream[messages.State]:
        """The state now, and after each change.

        :param on_gap: called with each gap, after the connection was cut; without it they are logged.
        """
        return LastingStream(self._calls, StateCourse(on_gap))

    def log(self, *, level: str = "INFO", on_gap: OnGap | None = None) -> LastingStream[messages.LogLine]:
        """What the rig's session logs: the lines that it still has (the last 500), then each as it comes.

        A line has ``time`` (seconds since 1970), ``level``, ``logger``, ``text`` and ``number``; where numbers are left
        out, lines were taken too slowly, or ``level`` left them out.

        :param level: the least that is wanted: ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``.
        :param on_gap: called with each gap: how many lines the rig no longer had when the connection was back.
        :raises LimitError: another level.
        """
        return LastingStream(self._calls, LogCourse(level, on_gap))

    def documents(self, *, from_start: bool = False, on_gap: OnGap | None = None) -> LastingStream[Document]:
        """Documents as they are made, from now on, none left out.

        When the connection breaks they go on where they were, for as long as the server still has them.

        :param from_start: also those of the run that is open, from its start.
        :param on_gap: called with each gap: how many documents are missing.
        :raises FellBehind: they were taken too slowly.
        """
        stream = LastingStream(self._calls, DocumentCourse(from_start=from_start, on_gap=on_gap))
        stream.begin()
        return stream

    def subscribe(
        self,
        callback: Callback,
        *,
        from_start: bool = False,
        on_gap: OnGap | None = None,
        on_behind: OnBehind | None = None,
    ) -> Subscription:
        """Give all documents to a bluesky callback (a table, a plot), in a thread of its own.

        :param from_start: also those of the run that is open, from its start.
        :param on_gap: called with each gap.
        :param on_behind: called with the number of documents that wait, when there are many; else that is logged.
        :return: call it to end that.
        """
        stream = self.documents(from_start=from_start, on_gap=on_gap)
        subscription = Subscription(stream, callback, on_behind)
        self._subscriptions.add(subscription)
        return subscription

    def frames(
        self,
        camera: str,
        *,
        scale: int = 1,
        credits: int | None = None,  # noqa: A002 as the messages call them
        on_gap: OnGap | None = None,
    ) -> Frames:
        """The newest frames of a camera while it acquires; iterate, and ``close()``.

        :param camera: its name.
        :param scale: 1: all pixels; 2 or 4: every second or fourth of each row and column.
        :param credits: frames on their way while one is drawn, 1 to 256. Unless given, as few as keep the line busy:
            one for a viewer that draws slower than frames come, more for a quick reader far away.
        :param on_gap: called with each gap: how many frames the camera took while the connection was cut.
        :raises UnknownName: (when iterated) no such camera.
        :raises LimitError: ``credits`` out of range; (when iterated) no such scale.
        """
        return Frames(self._calls, FrameCourse(camera, scale, credits, on_gap))

    def samples(self, name: str, *, flush: float = FLUSH, on_gap: OnGap | None = None) -> Samples:
        """What an analog input samples while it acquires; iterate, and ``close()``.

        :param name: of the analog input.
        :param flush: seconds from block to block, 0.001 to 10: longer costs less, shorter is sooner.
        :param on_gap: called with each gap: how many samples the card took while the connection was cut.
        :raises UnknownName: (when iterated) no such analog input.
        :raises LimitError: (when iterated) another time.
        """
        return Samples(self._calls, SampleCourse(name, flush, on_gap))

    def catalog(self, uri: str | None = None) -> Any:
        """A Tiled client of the rig's catalog: ``client.catalog()[-1]`` is the last run.

        :param uri: where it can be reached from here (a tunnel); None on the server's own machine.
        :raises NotAllowed: to observe alone, or this is another machine than the server's, and ``uri`` is not given.
        :raises CatalogError: it does not answer.
        """
        return open_catalog(self._calls.do(_ask.catalog()), uri)
