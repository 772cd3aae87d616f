"""What the documents of a run tell of, against what is in its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rdaq_ophyd.document_lines import Document

from ._spoolfile import SpooledRun, Stream
from ._told import counted, one_line


@dataclass
class Rows:
    """The rows of one stream.

    :param stream: where they are said to be.
    :param readable: rows in the file; None when that cannot be told.
    :param trouble: why it cannot.
    :param kept: rows that the documents of the closed run tell of.
    :param before: events of the stream before the one of the first row here.
    """

    stream: Stream
    readable: int | None
    trouble: str = ""
    kept: int = 0
    before: int = 0

    @property
    def untold(self) -> int:
        """Rows in the file that no document of the closed run tells of."""
        return 0 if self.readable is None else max(0, self.readable - self.kept)

    def fate(self) -> str:
        """What became of them, in words."""
        where = self.stream.path.name
        if self.readable is None:
            return f"{counted(self.stream.rows, 'row')} told of, {where} {self.trouble}"
        text = f"{counted(self.kept, 'row')} kept in {where}"
        if self.kept != self.stream.rows:
            text += f" ({self.stream.rows} were told of)"
        return text + (f", {self.untold} more that no document tells of" if self.untold else "")

    def as_json(self) -> dict[str, Any]:
        """For the stop document."""
        return {
            "data_key": self.stream.key,
            "file": str(self.stream.path),
            "dataset": self.stream.dataset,
            "told": self.stream.rows,
            "kept": self.kept,
            "readable": -1 if self.readable is None else self.readable,
        }


def rows_of(run: SpooledRun) -> dict[str, Rows]:
    """Look into the files of ``run``; by the uid of the stream resource.

    All keys of one stream end with the same event, or nobody could read them together: where there are events, with the
    last of them; else with the last that any key was told to have and all have. Never more rows than are in the file.
    A device that was staged again has a second file; only the last one of a key may have rows that nobody was told of.
    """
    found = {uid: _look(stream) for uid, stream in run.streams.items()}
    last: dict[tuple[str, str], Rows] = {}
    for one in found.values():
        key = (one.stream.descriptor, one.stream.key)
        earlier = last.get(key)
        if earlier is not None:
            earlier.kept = _at_most(earlier, earlier.stream.rows)
        one.before = _before(one, earlier, found.values())
        last[key] = one
    for descriptor in {descriptor for descriptor, _ in last}:
        _settle([one for key, one in last.items() if key[0] == descriptor], run.recorded.get(descriptor))
    return found


def _before(one: Rows, earlier: Rows | None, found: Iterable[Rows]) -> int:
    """As its own datums have it; without any, as those of the same file, of the key's last file, or of the stream."""
    if one.stream.shift is not None:
        return one.stream.shift - 1
    beside = [o for o in found if o.stream.descriptor == one.stream.descriptor and o.stream.shift is not None]
    same = [o for o in beside if o.stream.path == one.stream.path]
    if earlier is not None and not same:
        return earlier.before + earlier.stream.rows
    return next((o.stream.shift - 1 for o in same or beside if o.stream.shift is not None), 0)


def _settle(group: list[Rows], events: int | None) -> None:
    told = max(one.before + one.stream.rows for one in group) if events is None else events
    there = min(told if one.readable is None else one.before + one.readable for one in group)
    for one in group:
        one.kept = _at_most(one, max(0, (min(told, there) if events is None else told) - one.before))


def _at_most(one: Rows, rows: int) -> int:
    """A file that cannot be looked into is told of as it was."""
    return min(rows, one.stream.rows if one.readable is None else one.readable)


def _look(stream: Stream) -> Rows:
    from rdaq_ophyd.frames import read_readable

    try:
        readable = read_readable(stream.path).rows.get(stream.dataset)
    except FileNotFoundError:
        return Rows(stream, None, "is not there")
    except OSError as error:
        return Rows(stream, None, f"cannot be read ({one_line(error)})")
    return Rows(stream, readable, "" if readable is not None else f"has no rows in {stream.dataset}")


def fates(rows: Iterable[Rows]) -> list[str]:
    """What became of all rows, those that share a fate together: ``cam, cam-mean: 12 rows readable in …``."""
    shared: dict[str, list[str]] = {}
    for one in rows:
        shared.setdefault(one.fate(), []).append(one.stream.key)
    return [f"{', '.join(keys)}: {fate}" for fate, keys in shared.items()]


def reconciled(documents: Iterator[tuple[str, Document]], rows: Mapping[str, Rows]) -> Iterator[tuple[str, Document]]:
    """The documents, telling of exactly the rows that are kept."""
    for name, document in documents:
        if name == "stream_datum":
            kept, indices, numbers = rows[document["stream_resource"]].kept, document["indices"], document["seq_nums"]
            over = indices["stop"] - kept
            if over > 0 and indices["start"] >= kept:
                continue
            if over > 0:
                indices, numbers = {**indices, "stop": kept}, {**numbers, "stop": numbers["stop"] - over}
                document = {**document, "indices": indices, "seq_nums": numbers}
        yield name, document
    for uid, one in rows.items():
        first, shift = one.stream.rows, one.before + 1
        if one.kept > first:
            yield (
                "stream_datum",
                {
                    "uid": f"{uid}/repair",
                    "stream_resource": uid,
                    "descriptor": one.stream.descriptor,
                    "indices": {"start": first, "stop": one.kept},
                    "seq_nums": {"start": first + shift, "stop": one.kept + shift},
                },
            )
