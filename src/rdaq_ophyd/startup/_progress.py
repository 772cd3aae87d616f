"""How far a plan is: what it waits for, and the points of its run where their number is known beforehand."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rdaq_ophyd.progress import POINTS, Progress

__all__ = ["PlanProgress", "with_bars"]
logger = logging.getLogger(__name__)

PRIMARY = "primary"
"""The stream whose events are the points of a run."""


class PlanProgress:
    """Tells a listener how far the plans of a RunEngine are; whatever hook was there before stays in place.

    :param engine: its ``waiting_hook`` is taken until :meth:`close`.
    :param tell: called in the engine's thread with each :class:`Progress`; it must not wait.
    """

    def __init__(self, engine: Any, tell: Callable[[Progress], object]) -> None:
        self._engine, self._tell = engine, tell
        self._before = engine.waiting_hook
        self._hook = self._waits  # one and the same object, to be known again
        self._under_way: dict[str, Progress] = {}
        self._points = _Points()
        self._lock = threading.Lock()
        engine.waiting_hook = self._hook
        self._token = engine.subscribe(self._document)

    def close(self) -> None:
        """Tell no more. Idempotent."""
        if self._engine.waiting_hook == self._hook:
            self._engine.waiting_hook, self._before = self._before, None
        self._tell = _nobody
        self._engine.unsubscribe(self._token)

    # -- what the engine calls --------------------------------------------------------------------------------

    def _waits(self, statuses: Any) -> None:
        if self._before is not None:
            self._before(statuses)
        if statuses is None:
            self._all_done()
            return
        for number, status in enumerate(statuses):
            if hasattr(status, "watch") and not status.done:
                status.watch(partial(self._moved, f"#{number}"))

    def _all_done(self) -> None:
        with self._lock:
            ended, self._under_way = list(self._under_way.values()), {}
        for progress in ended:
            self._say(Progress(**{**vars(progress), "done": True}))

    def _moved(self, otherwise: str, **update: Any) -> None:
        progress = _progress(update.get("name") or otherwise, update)
        with self._lock:
            self._under_way[progress.name] = progress
        self._say(progress)

    def _document(self, name: str, document: dict[str, Any]) -> None:
        if (progress := self._points.take(name, document)) is not None:
            self._say(progress)

    def _say(self, progress: Progress) -> None:
        try:
            self._tell(progress)
        except Exception:  # what shows a plan must not end it
            logger.exception("progress of %s", progress.name)


class _Points:
    """Counts the events of a run's primary stream."""

    def __init__(self) -> None:
        self._run = ""
        self._number = math.nan
        self._stream: set[str] = set()
        self._seen, self._began = 0, 0.0

    def take(self, name: str, document: dict[str, Any]) -> Progress | None:
        match name:
            case "start" if not self._run:  # an inner run counts with the outer one's points
                self._run, self._seen, self._began = document["uid"], 0, time.monotonic()
                self._number = _number_of_points(document)
                self._stream.clear()
                return self._progress() if math.isfinite(self._number) else None
            case "descriptor" if document["name"] == PRIMARY and document["run_start"] == self._run:
                self._stream.add(document["uid"])
            case "event" if document["descriptor"] in self._stream:
                return self._reached(document["seq_num"])
            case "event_page" if document["descriptor"] in self._stream:
                return self._reached(document["seq_num"][-1])
            case "stream_datum" if document["descriptor"] in self._stream:
                return self._reached(document["seq_nums"]["stop"] - 1)
            case "stop" if document["run_start"] == self._run:
                self._run = ""
                return self._progress(done=True) if self._seen or math.isfinite(self._number) else None
        return None

    def _reached(self, seq_num: int) -> Progress:
        self._seen = max(self._seen, int(seq_num))
        return self._progress()

    def _progress(self, *, done: bool = False) -> Progress:
        elapsed = time.monotonic() - self._began
        return Progress(POINTS, self._seen, 0.0, self._number, "", elapsed, done)


def _number_of_points(start: dict[str, Any]) -> float:
    """``num_points`` of a start document, NaN where it says none."""
    number = start.get("num_points")
    return float(number) if isinstance(number, int) and number > 0 else math.nan


def _progress(name: str, update: dict[str, Any]) -> Progress:
    """What a status told its watcher; a plain number in each place, else NaN."""

    def number(key: str, otherwise: float = math.nan) -> float:
        value = update.get(key)
        return float(value) if isinstance(value, int | float) else otherwise

    return Progress(
        name,
        number("current"),
        number("initial", 0.0),
        number("target"),
        str(update.get("unit") or ""),
        number("time_elapsed", 0.0),
    )


def _nobody(_progress: Progress) -> None:
    """Told after the end."""


@contextmanager
def with_bars(engine: Any) -> Iterator[None]:
    """Bars on the terminal for the plans that run meanwhile."""
    from rdaq_ophyd.progress import Bars

    with Bars() as bars:
        progress = PlanProgress(engine, bars)
        try:
            yield
        finally:
            progress.close()
