"""``rdaq watch --samples NAME``, ``--frames NAME`` and ``--log``: a stream on the terminal, or into a pipe."""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.wire import messages

from . import _lines
from ._client import Client
from ._frames import Frame
from ._gap import Gap, OnGap
from ._lines import Lines
from ._samples import SampleBlock
from ._streams import LastingStream
from .commands import Where

WAITING = 64
"""Blocks or frames that were read and not written yet; whoever reads slower loses samples at the server, counted."""
BLOCK = 0.05
"""Seconds of a block of samples at most: the server keeps few of them for a reader that waits longer."""
SHORTEST, LONGEST = 0.01, 3600.0
"""Of an interval, s."""
TURN = 1.0
"""Seconds after which a wait looks around; on some platforms Ctrl-C is heard only then."""

SAMPLES: dict[str, Callable[[], Lines[SampleBlock]]] = {
    "text": _lines.SampleText,
    "csv": _lines.SampleCsv,
    "json": _lines.SampleJson,
}
FRAMES: dict[str, Callable[[], Lines[Frame]]] = {
    "text": _lines.FrameText,
    "csv": _lines.FrameCsv,
    "json": _lines.FrameJson,
}
LOG: dict[str, Callable[[str], Lines[messages.LogLine]]] = {
    "text": _lines.LogText,
    "csv": _lines.LogCsv,
    "json": _lines.LogJson,
}


@dataclass(frozen=True)
class Form:
    """How a stream is told.

    :param kind: ``text``, ``csv`` or ``json``.
    :param every: seconds from line to line where a line stands for an interval.
    :raises LimitError: another interval than 0.01 s to an hour.
    """

    kind: str = "text"
    every: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.every) and SHORTEST <= self.every <= LONGEST):
            raise LimitError(f"--every {self.every:g}", hint=f"give {SHORTEST:g} to {LONGEST:g} seconds")


def samples(where: Where, name: str, form: Form) -> int:
    """The samples of an analog input until Ctrl-C: statistics of each interval, or all of them as CSV or JSON.

    :raises UnknownName: there is no such analog input.
    """
    lines = SAMPLES[form.kind]()
    flush = min(form.every, BLOCK)
    return _watch(where, lambda client, on_gap: client.samples(name, flush=flush, on_gap=on_gap), lines, form.every)


def frames(where: Where, name: str, form: Form, *, scale: int) -> int:
    """The newest frame of a camera once in each interval, until Ctrl-C: its number, statistics and age.

    :param scale: of every how many pixels of rows and columns.
    :raises UnknownName: there is no such camera.
    """
    lines = FRAMES[form.kind]()
    return _watch(where, lambda client, on_gap: client.frames(name, scale=scale, on_gap=on_gap), lines, form.every)


def log(where: Where, form: Form, *, level: str) -> int:
    """What the rig logs until Ctrl-C: the lines that it still has, then each as it comes.

    :param level: the least that is told.
    :raises LimitError: another level than those of :meth:`Client.log`.
    """
    return _watch(where, lambda client, on_gap: client.log(on_gap=on_gap), LOG[form.kind](level), form.every)


def _watch(where: Where, begin: Callable[[Client, OnGap], LastingStream[Any]], lines: Lines[Any], every: float) -> int:
    with where.connect() as client, _Reader(lambda on_gap: begin(client, on_gap)) as reader:
        _tell(reader, lines, every)
    return 0


def _tell(reader: _Reader, lines: Lines[Any], every: float) -> None:
    due = time.monotonic() + every
    try:
        while (item := reader.next(max(0.0, min(TURN, due - time.monotonic())))) is not None:
            if isinstance(item, Gap):
                _say([*lines.rest(), lines.gap(item)])
            elif item is not _NOTHING:
                _say(lines.take(item))
            if time.monotonic() >= due:
                due = time.monotonic() + every
                _say(lines.rest())
    finally:
        _say(lines.rest())


def _say(lines: Iterable[str]) -> None:
    if text := "".join(f"{line}\n" for line in lines):
        sys.stdout.write(text)
        sys.stdout.flush()


_NOTHING = object()


class _Reader(threading.Thread):
    """Reads a stream, with its gaps where they were; so that an interval ends in time although nothing comes.

    :param begin: makes the stream.
    """

    def __init__(self, begin: Callable[[OnGap], LastingStream[Any]]) -> None:
        super().__init__(name="watch", daemon=True)
        self._items: queue.Queue[Any] = queue.Queue(WAITING)
        self._over = threading.Event()
        self._stream = begin(self._put)

    def next(self, seconds: float) -> Any:
        """What comes within so many seconds, else ``_NOTHING``; None at the end.

        :raises RdaqError: what ended the stream.
        """
        try:
            item = self._items.get(timeout=seconds)
        except queue.Empty:
            return _NOTHING
        if isinstance(item, RdaqError):
            raise item
        return item

    def run(self) -> None:
        """Until the stream ends."""
        end: RdaqError | None = None
        try:
            for item in self._stream:
                self._put(item)
        except RdaqError as error:
            end = error
        self._put(end)

    def _put(self, item: object) -> None:
        while not self._over.is_set():
            try:
                self._items.put(item, timeout=TURN)
            except queue.Full:
                continue
            return

    def __enter__(self) -> _Reader:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._stream.close()
        self.join(TURN + 1.0)
