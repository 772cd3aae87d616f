"""What the documents of a run tell of, against what is in its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ._documents import Document
from ._spoolfile import SpooledRun, Stream
from ._told import counted, one_line


@dataclass(frozen=True)
class Rows:
    """The rows of one stream.

    :param stream: where they are said to be.
    :param readable: rows in the file; None when that cannot be told.
    :param trouble: why it cannot.
    """

    stream: Stream
    readable: int | None
    trouble: str = ""

    @property
    def kept(self) -> int:
        """Rows that the documents tell of and, as far as can be told, the file has."""
        return self.stream.rows if self.readable is None else min(self.stream.rows, self.readable)

    @property
    def untold(self) -> int:
        """Rows in the file that no document tells of."""
        return 0 if self.readable is None else max(0, self.readable - self.stream.rows)

    def fate(self) -> str:
        """What became of them, in words."""
        where = self.stream.path.name
        if self.readable is None:
            return f"{counted(self.stream.rows, 'row')} told of, {where} {self.trouble}"
        text = f"{counted(self.kept, 'row')} readable in {where}"
        if self.kept < self.stream.rows:
            text += f" ({self.stream.rows} were told of)"
        return text + (f", {self.untold} more that no document tells of" if self.untold else "")

    def as_json(self) -> dict[str, Any]:
        """For the stop document."""
        return {
            "data_key": self.stream.key,
            "file": str(self.stream.path),
            "dataset": self.stream.dataset,
            "told": self.stream.rows,
            "readable": -1 if self.readable is None else self.readable,
        }


def rows_of(run: SpooledRun) -> dict[str, Rows]:
    """Look into the files of ``run``; by the uid of the stream resource."""
    from rdaq_ophyd.frames import read_readable

    found = {}
    for uid, stream in run.streams.items():
        try:
            readable = read_readable(stream.path).rows.get(stream.dataset)
        except FileNotFoundError:
            found[uid] = Rows(stream, None, "is not there")
        except OSError as error:
            found[uid] = Rows(stream, None, f"cannot be read ({one_line(error)})")
        else:
            found[uid] = Rows(stream, readable, "" if readable is not None else f"has no rows in {stream.dataset}")
    return found


def fates(rows: Iterable[Rows]) -> list[str]:
    """What became of all rows, those that share a fate together: ``cam, cam-mean: 12 rows readable in …``."""
    shared: dict[str, list[str]] = {}
    for one in rows:
        shared.setdefault(one.fate(), []).append(one.stream.key)
    return [f"{', '.join(keys)}: {fate}" for fate, keys in shared.items()]


def clipped(documents: Iterator[tuple[str, Document]], rows: Mapping[str, Rows]) -> Iterator[tuple[str, Document]]:
    """The documents, none of which tells of a row that is not in its file."""
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
