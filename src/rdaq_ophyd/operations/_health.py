"""Whether the daemon is alive, and whether it can take work: looked at by a thread that waits for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rdaq_ophyd.link import LinkState, known_links
from rdaq_ophyd.startup import Session
from rdaq_ophyd.stop import latch

from ._notify import Notifier

logger = logging.getLogger(__name__)
EVERY = 0.5
"""Seconds between two looks."""
HANGS = 15.0
"""Seconds without a turn after which an event loop counts as hanging."""
CATALOG_PATIENCE = 60.0
"""Seconds that Tiled or its worker may be away: they need some to start, and are started again when they die."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    well: bool
    detail: str = ""


class Health:
    """Looks every half second, tells gRPC's health service and the service manager; ``close`` it before the session.

    :param session: is looked at.
    :param loops: event loops by name; one that hangs means that the daemon is not alive.
    :param tell: called with whether it serves, at each change.
    :param notifier: of the service manager.
    :param tick: called at each look.
    :param hangs: seconds without a turn after which a loop counts as hanging.
    :param patience: seconds that the catalog may be away before it counts.
    """

    def __init__(
        self,
        session: Session,
        loops: Mapping[str, asyncio.AbstractEventLoop],
        *,
        tell: Callable[[bool], None] = lambda _well: None,
        notifier: Notifier | None = None,
        tick: Callable[[], None] = lambda: None,
        hangs: float = HANGS,
        patience: float = CATALOG_PATIENCE,
    ) -> None:
        self._session, self._loops, self._tell, self._tick = session, dict(loops), tell, tick
        self._notifier = notifier or Notifier({})
        self._hangs, self._patience = hangs, patience
        now = time.monotonic()
        self._ran = dict.fromkeys(self._loops, now)
        self._catalog_up, self._alive_at = now, float("-inf")
        self._serving: bool | None = None
        self._status, self._ending = "", False
        self._failing: dict[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rdaq-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more, and tell the service manager that this is the end. Idempotent."""
        self._over.set()
        self._thread.join(10)
        self._say_ending()

    # -- what is asked ----------------------------------------------------------------------------------------

    def silences(self) -> dict[str, float]:
        """Seconds since each loop last ran."""
        now = time.monotonic()
        return {name: now - ran for name, ran in self._ran.items()}

    def live(self) -> list[Check]:
        """Whether this process still does anything; if not, it should be started anew."""
        return [
            Check(f"loop {name}", silent < self._hangs, f"last ran {silent:.1f} s ago")
            for name, silent in self.silences().items()
        ]

    def ready(self) -> list[Check]:
        """Whether it can take work. A stop that holds is a state, and no ill health."""
        return [*self.live(), self._devices(), self._catalog(patience=0.0), self._end()]

    def serving(self) -> bool:
        """What gRPC's health service says: alive, and the catalog not away for long."""
        return all(check.well for check in (*self.live(), self._catalog(self._patience), self._end()))

    def _devices(self) -> Check:
        missing = [f"{name}: {error}" for name, error in dict(self._session.rig.failures).items()]
        missing += [f"{link.url}: {link.state}" for link in known_links() if link.state is not LinkState.CONNECTED]
        return Check("devices", not missing, "; ".join(missing))

    def _catalog(self, patience: float) -> Check:
        away = time.monotonic() - self._catalog_up
        down = self._down()
        detail = f"{' and '.join(down)} away for {away:.0f} s; runs are recorded all the same" if down else ""
        return Check("catalog", not down or away < patience, detail)

    def _down(self) -> list[str]:
        """What of the catalog is away; what cannot be looked at counts as that."""
        catalog, down = self._session.catalog, []
        for what, of in (("Tiled", "serving"), ("its worker", "delivering")):
            try:
                if not getattr(catalog, of):
                    down.append(what)
            except OSError as error:  # no file descriptor left, no disk
                down.append(f"{what} ({error.strerror})")
        return down

    def _end(self) -> Check:
        ending = self._over.is_set() or bool(self._session.signals.ending)
        return Check("staying", not ending, "told to end" if ending else "")

    # -- the thread -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            self._look()
            if self._over.wait(EVERY):
                return

    def _look(self) -> None:
        for name, loop in self._loops.items():
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._note, name)
        # Each for itself: what one of them fails of must not keep the others from being looked at, or told.
        for step in (self._look_at_catalog, self._tick, self._look_at_end, self._tell_serving, self._tell_manager):
            self._alone(step)

    def _alone(self, step: Callable[[], object]) -> None:
        name = getattr(step, "__name__", "look").strip("_")
        try:
            step()
        except Exception as error:
            if self._failing.get(name) != str(error):  # once, and not twice a second
                self._failing[name] = str(error)
                logger.exception("a look at the daemon's health failed: %s", name)
        else:
            self._failing.pop(name, None)

    def _look_at_catalog(self) -> None:
        if not self._down():
            self._catalog_up = time.monotonic()

    def _look_at_end(self) -> None:
        if self._session.signals.ending:
            self._say_ending()

    def _note(self, name: str) -> None:
        self._ran[name] = time.monotonic()

    def _tell_serving(self) -> None:
        serving = self.serving()
        if serving == self._serving:
            return
        ill = [f"{c.name}: {c.detail}" for c in (*self.live(), self._catalog(self._patience)) if not c.well]
        if self._serving is not None or not serving:
            logger.warning("%s", "serving again" if serving else f"not serving: {'; '.join(ill) or 'ending'}")
        self._serving = serving
        self._tell(serving)

    def _tell_manager(self) -> None:
        if not self._notifier:
            return
        engine = f"the engine is {self._session.RE.state}"
        status = f"stopped: {latch.why}" if latch.tripped else f"{len(self._session.rig.devices)} devices; {engine}"
        if status != self._status and not self._ending:
            self._status = status
            self._notifier.tell(STATUS=status)
        every, now = self._notifier.every, time.monotonic()
        if every is not None and now - self._alive_at >= every - EVERY and all(check.well for check in self.live()):
            self._alive_at = now
            self._notifier.tell(WATCHDOG=1)

    def _say_ending(self) -> None:
        if not self._ending:
            self._ending = True
            self._notifier.tell(STOPPING=1, STATUS="makes safe and ends")
