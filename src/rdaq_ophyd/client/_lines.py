"""Samples, frames and logs as lines of text: for people, and as CSV and JSON for programs. Nothing is sent here."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from rdaq_ophyd.wire import messages

from ._frames import Frame
from ._gap import Gap
from ._log import is_grave, least_of
from ._samples import SampleBlock, SampleSchema


class Lines[Item](ABC):
    """What a stream tells, as lines without their end; subclasses say what of."""

    @abstractmethod
    def take(self, item: Item) -> Iterator[str]:
        """What is to be said of an item at once."""

    def rest(self) -> Iterator[str]:
        """What is to be said of all that was taken since the last time; nothing, where nothing was."""
        yield from ()

    @abstractmethod
    def note(self, what: str, **numbers: Any) -> str:
        """A line between the others: a gap, samples that are missing."""

    def gap(self, gap: Gap) -> str:
        """The line of a connection that was cut."""
        return self.note(f"gap: {gap}", since=gap.since, until=gap.until, lost=gap.lost, restarted=gap.restarted)


class _Text[Item](Lines[Item]):
    def note(self, what: str, **numbers: Any) -> str:
        del numbers
        return f"-- {what}"


class _Csv[Item](Lines[Item]):
    def note(self, what: str, **numbers: Any) -> str:
        del numbers
        return f"# {what}"


class _Json[Item](Lines[Item]):
    def note(self, what: str, **numbers: Any) -> str:
        return _json({"note": what, **numbers})


class _Missing:
    """Finds what is missing between two blocks."""

    def __init__(self) -> None:
        self._shot, self._next, self._dropped = -1, 0, 0

    def before(self, block: SampleBlock) -> dict[str, int]:
        """How many are missing before a block, and how many of those were not taken in time; empty: none."""
        dropped, self._dropped = block.dropped - self._dropped, block.dropped
        missing = block.first - self._next if block.shot == self._shot else dropped
        self._shot, self._next = block.shot, block.first + len(block)
        return {"missing": missing, "dropped": dropped} if missing or dropped else {}

    def cut(self) -> None:
        """A gap was told: what it lost is not told twice."""
        self._shot = -1


class _Samples(Lines[SampleBlock]):
    def __init__(self) -> None:
        self._missing = _Missing()
        self._schema: SampleSchema | None = None

    def take(self, item: SampleBlock) -> Iterator[str]:
        if missing := self._missing.before(item):
            yield from self.rest()
            yield self.note(
                f"{missing['missing']} samples are missing before number {item.first}, "
                f"{missing['dropped']} of them not taken in time",
                before=item.first,
                **missing,
            )
        if item.schema is not self._schema:
            yield from self.rest()
            self._schema = item.schema
            yield from self._head(item.schema)
        yield from self._block(item)

    def gap(self, gap: Gap) -> str:
        self._missing.cut()
        return super().gap(gap)

    def _head(self, schema: SampleSchema) -> Iterator[str]:
        """What is said where the samples begin to be others."""
        del schema
        yield from ()

    def _block(self, block: SampleBlock) -> Iterator[str]:
        raise NotImplementedError


class SampleText(_Samples, _Text[SampleBlock]):
    """For each interval mean, standard deviation, minimum and maximum of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[SampleBlock] = []

    def _head(self, schema: SampleSchema) -> Iterator[str]:
        channels = ", ".join(f"{name} ({units})" if units else name for name, units in schema.units.items())
        yield f"{schema.device}: {channels} at {schema.rate:g} samples/s"

    def _block(self, block: SampleBlock) -> Iterator[str]:
        if self._blocks and self._blocks[-1].shot != block.shot:
            yield from self.rest()
        self._blocks.append(block)

    def rest(self) -> Iterator[str]:
        """One line for the blocks since the last one."""
        blocks, self._blocks = self._blocks, []
        if not blocks:
            return
        first, rows = blocks[0], np.concatenate([block.rows for block in blocks])
        told = [_statistics(name, rows[name], units) for name, units in first.schema.units.items()]
        yield f"{_clock(first.time)}  number {first.first} + {len(rows)}  {'; '.join(told)}"


class SampleCsv(_Samples, _Csv[SampleBlock]):
    """A row for each sample: time in seconds since 1970, its number, and the channels."""

    def _head(self, schema: SampleSchema) -> Iterator[str]:
        yield _csv([["time (s)", "number", *(f"{n} ({u})" if u else n for n, u in schema.units.items())]])

    def _block(self, block: SampleBlock) -> Iterator[str]:
        times, numbers = block.times, range(block.first, block.first + len(block))
        rows = zip(times, numbers, block.rows.tolist(), strict=True)
        yield _csv([f"{time:.6f}", number, *values] for time, number, values in rows)


class SampleJson(_Samples, _Json[SampleBlock]):
    """An object for each block; numbers that are not finite are null."""

    def _block(self, block: SampleBlock) -> Iterator[str]:
        yield _json(
            {
                "device": block.schema.device,
                "time": block.time,
                "first": block.first,
                "shot": block.shot,
                "rate": block.schema.rate,
                "units": dict(block.schema.units),
                "samples": {name: np.ascontiguousarray(block[name]) for name in block.schema.channels},
            }
        )


class _Frames(Lines[Frame]):
    """The newest frame, once in each interval."""

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._before: Frame | None = None

    def take(self, item: Frame) -> Iterator[str]:
        self._last = item
        yield from ()

    def rest(self) -> Iterator[str]:
        last, self._last = self._last, None
        if last is not None:
            before, self._before = self._before, last
            yield from self._frame(last, before)

    def _frame(self, frame: Frame, before: Frame | None) -> Iterator[str]:
        raise NotImplementedError


class FrameText(_Frames, _Text[Frame]):
    """Number, size, statistics of the pixels, age and rate."""

    def _frame(self, frame: Frame, before: Frame | None) -> Iterator[str]:
        height, width = frame.array.shape
        told = f"{_clock(frame.host_time)}  frame {frame.sequence}  {width} × {height}"
        told += f"  {_statistics('pixels', frame.array, '')}  {1e3 * frame.age:.0f} ms old"
        seconds = frame.host_time - before.host_time if before is not None else 0.0
        if before is not None and seconds > 0:
            told += f", {(frame.offered - before.offered) / seconds:.3g} frames/s"
        yield told


FRAME_COLUMNS = ("time", "sequence", "width", "height", "mean", "std", "min", "max", "age", "offered", "skipped")
"""Of :class:`FrameCsv`, and the keys of :class:`FrameJson`."""


class FrameCsv(_Frames, _Csv[Frame]):
    """A row for each interval."""

    def _frame(self, frame: Frame, before: Frame | None) -> Iterator[str]:
        if before is None:
            yield _csv([FRAME_COLUMNS])
        yield _csv([list(_facts(frame).values())])


class FrameJson(_Frames, _Json[Frame]):
    """An object for each interval."""

    def _frame(self, frame: Frame, before: Frame | None) -> Iterator[str]:
        del before
        yield _json(_facts(frame))


def _facts(frame: Frame) -> dict[str, Any]:
    height, width = frame.array.shape
    pixels = frame.array
    values = (frame.host_time, frame.sequence, width, height, float(pixels.mean()), float(pixels.std()))
    rest = (pixels.min().item(), pixels.max().item(), frame.age, frame.offered, frame.skipped)
    return dict(zip(FRAME_COLUMNS, (*values, *rest), strict=True))


class _Log(Lines[messages.LogLine]):
    """Each line at once.

    :param level: the least that is told. It has to get the others too: else they would seem to be missing.
    """

    def __init__(self, level: str = "INFO") -> None:
        self._least, self._before = least_of(level), 0

    def take(self, item: messages.LogLine) -> Iterator[str]:
        if self._before and (missing := item.number - self._before - 1) > 0:
            yield self.note(f"{missing} lines are missing: they came faster than they were taken", missing=missing)
        self._before = item.number
        if is_grave(item, self._least):
            yield from self._line(item)

    def gap(self, gap: Gap) -> str:
        self._before = 0  # what it lost is not told twice
        return super().gap(gap)

    def _line(self, line: messages.LogLine) -> Iterator[str]:
        raise NotImplementedError


LOG_COLUMNS = ("time", "level", "logger", "text", "number")
"""Of :class:`LogCsv`, and the keys of :class:`LogJson`."""


class LogText(_Log, _Text[messages.LogLine]):
    """Time, level, logger and text. What no terminal should be told is escaped; further lines are indented."""

    def _line(self, line: messages.LogLine) -> Iterator[str]:
        text = "\n    ".join("".join(map(_printable, each)) for each in line.text.splitlines())
        yield f"{_clock(line.time)}  {line.level:<8} {line.logger}  {text}"


class LogCsv(_Log, _Csv[messages.LogLine]):
    """A row for each line."""

    def __init__(self, level: str = "INFO") -> None:
        super().__init__(level)
        self._told = False

    def _line(self, line: messages.LogLine) -> Iterator[str]:
        if not self._told:
            self._told = True
            yield _csv([LOG_COLUMNS])
        yield _csv([[f"{line.time:.6f}", line.level, line.logger, line.text, line.number]])


class LogJson(_Log, _Json[messages.LogLine]):
    """An object for each line."""

    def _line(self, line: messages.LogLine) -> Iterator[str]:
        yield _json({name: getattr(line, name) for name in LOG_COLUMNS})


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _statistics(name: str, values: NDArray[Any], units: str) -> str:
    told = f"{name} {values.mean():.6g} ± {values.std():.3g} ({values.min():.6g} to {values.max():.6g})"
    return f"{told} {units}".rstrip()


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _csv(rows: Iterator[list[Any]] | Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().removesuffix("\n")


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
