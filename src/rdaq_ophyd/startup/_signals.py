"""Ctrl-C and the signals that end a process: the stops are written by the handler itself, before anything else."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from bluesky.utils import TransitionError  # type: ignore[attr-defined] # bluesky's own name for it

from rdaq_ophyd.stop import Halted, halt_all

from ._run_engine import RigRunEngine

__all__ = ["Signals"]
logger = logging.getLogger(__name__)

TWICE = 2.0
"""Seconds within which a second Ctrl-C stops everything."""
ECHO = 1.0
"""Seconds in which a second signal to end is the same one."""
CLEAN_UP = 30.0
"""Seconds that a plan's clean-up gets when the process is told to end."""
STARTING = 5.0
"""Seconds that a plan may take from the call until it runs."""
ANEW = 0.2
"""Seconds until a signal that has to be sent anew, and was not served, is sent once more."""
#: A service manager's end, a terminal that was closed (there is none of the last on Windows).
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Signals:
    """The signal handlers of a session; nothing outside the main thread.

    A handler takes no lock: it writes the halts, and leaves all waiting to a thread of its own.

    :param engine: whose plans are paused or aborted.
    :ivar leave: called by the handler when the process is to end, for a program that catches ``SystemExit``.
    """

    def __init__(self, engine: RigRunEngine) -> None:
        self._engine = engine
        self._before: dict[int, Any] = {}
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._first = self._told = float("-inf")
        self._plans = 0
        self._plan_over = threading.Event()
        self._plan_over.set()
        self._terminal = [fd for fd in (1, 2) if os.isatty(fd)]
        self._served = 0
        self._unraisable = sys.unraisablehook
        self.ending = 0
        self.leave: Callable[[], None] | None = None

    # -- from the start of the session to its end -----------------------------------------------------------

    def __enter__(self) -> Signals:
        self._thread = threading.Thread(target=self._serve, name="session-signals", daemon=True)
        self._thread.start()
        self._before = self._install()
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
        return self

    def __exit__(self, *_error: object) -> None:
        sys.unraisablehook = self._unraisable
        self._restore(self._before)
        self._work.put(None)
        if self._thread is not None:
            self._thread.join(CLEAN_UP)

    def settle(self) -> None:
        """Wait, bounded, until what a signal began is confirmed and told; before the devices are closed."""
        done = threading.Event()
        self._work.put(done.set)
        done.wait(CLEAN_UP)

    def _install(self) -> dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}  # handlers can be set in the main thread only; elsewhere signals are not the user's way
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDINGS)}
        # Ignored by whoever started this process (nohup), or ours already: left as it is.
        before = {n: old for n, old in before.items() if old not in (signal.SIG_IGN, self._on_signal)}
        for number in before:
            signal.signal(number, self._on_signal)
        return before

    def _restore(self, before: dict[int, Any]) -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextlib.contextmanager
    def during_plan(self, _engine: object) -> Iterator[None]:
        """For ``RE.context_managers``: a kernel sets handlers of its own for each cell."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._plans += 1
        self._plan_over.clear()
        swapped = self._install()
        try:
            yield
        finally:
            self._restore(swapped)
            self._plans -= 1
            if not self._plans:
                self._plan_over.set()
        if self.ending and self.leave is None and not self._plans:
            raise SystemExit(128 + self.ending)  # as a shell tells that a signal ended a program

    # -- the handlers ---------------------------------------------------------------------------------------

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._served += 1
        if number == signal.SIGINT:
            self._interrupt(frame)
        else:
            self._end(number)

    def _interrupt(self, frame: FrameType | None) -> None:
        if self.just_interrupted:
            self.stop_everything("Ctrl-C twice")
        elif self._plans or self._engine.busy:
            self._first = time.monotonic()
            self._engine.signal = signal.SIGINT
            self._engine.halt_axes()
            self._work.put(self._pause)
        else:
            self._pass_on(frame)

    @property
    def just_interrupted(self) -> bool:
        """Whether one more Ctrl-C now means: stop everything."""
        return time.monotonic() - self._first <= TWICE

    def stop_everything(self, reason: str) -> None:
        """Halt everything and abort the plan; the verdicts are printed when they are there. Waits for nothing."""
        self._first = float("-inf")
        halted = halt_all(reason, by=f"process {os.getpid()}")
        self._work.put(lambda: _tell(halted))

    def _pass_on(self, frame: FrameType | None) -> None:
        before = self._before.get(signal.SIGINT)
        if callable(before):
            before(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    def _end(self, number: int) -> None:
        if self.ending:
            if time.monotonic() - self._told < ECHO:
                return  # `timeout` and other keepers of processes send each signal twice
            raise SystemExit(128 + number)  # told again, or the clean-up takes too long: at once
        self._told = time.monotonic()
        self.ending = self._engine.signal = number
        self._leave_dead_terminal()
        halted = halt_all(signal.Signals(number).name, by=f"process {os.getpid()}")
        self._work.put(lambda: self._finish(halted, number))
        if self.leave is not None:
            self.leave()
        if not self._plans:
            raise SystemExit(128 + number)

    def _leave_dead_terminal(self) -> None:
        """A terminal that is gone makes every print an error, also those in the midst of an abort."""
        for fd in self._terminal:
            if not os.isatty(fd):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, fd)
                os.close(nowhere)

    # -- what may wait, in a thread of its own --------------------------------------------------------------

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:  # the next signal must be served too
                logger.exception("after a signal")

    def _pause(self) -> None:
        deadline = time.monotonic() + STARTING
        while self._plans and not self._engine.busy and time.monotonic() < deadline:
            time.sleep(0.01)  # called, but not running yet
        try:
            self._engine.request_pause(defer=False)
        except TransitionError as error:
            logger.info("interrupt: %s", error)  # already pausing, or just finished

    def _finish(self, halted: Halted, number: int) -> None:
        _tell(halted)
        if not self._plan_over.wait(CLEAN_UP):
            logger.error("the plan's clean-up has not ended within %.0f s: left behind", CLEAN_UP)
            self._told = float("-inf")
            _send(number)  # its handler now raises SystemExit

    # -- what a handler raised, and nobody heard of -----------------------------------------------------------

    def _on_unraisable(self, dropped: sys.UnraisableHookArgs) -> None:
        """A handler that runs within a finaliser, or while garbage is collected, raises in vain: Python drops it."""
        number = {SystemExit: self.ending, KeyboardInterrupt: int(signal.SIGINT)}.get(dropped.exc_type, 0)
        if number and threading.current_thread() is threading.main_thread():
            self._work.put(lambda: self._send_anew(number))
        else:
            self._unraisable(dropped)

    def _send_anew(self, number: int) -> None:
        """Until it is served; one that comes just before the main thread begins to wait does not end that wait."""
        served, self._told = self._served, float("-inf")
        until = time.monotonic() + CLEAN_UP
        # Only while it is ours: the usual handler of a session that has ended meanwhile would end the process at once.
        while served == self._served and signal.getsignal(number) == self._on_signal:
            if time.monotonic() > until or not _send(number):
                logger.error("%s was not served: its exception was dropped by Python", signal.Signals(number).name)
                return
            time.sleep(ANEW)  # it is no event: a handler that sets one may find its lock held


def _send(number: int) -> bool:
    """Send a signal to the main thread; False where there is no way to."""
    main = threading.main_thread().ident
    if main is None or not hasattr(signal, "pthread_kill"):
        return False
    signal.pthread_kill(main, number)
    return True


def _tell(halted: Halted) -> None:
    report = halted.confirm()
    with contextlib.suppress(OSError):  # nobody reads it; it is in the record of the latch
        sys.stderr.write(f"{report}\n")
        sys.stderr.flush()
