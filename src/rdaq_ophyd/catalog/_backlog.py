"""What of the spool the catalog does not have yet; read by the session, written by the worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ._files import read_json, write_json
from ._layout import DataLayout
from ._runfile import SUFFIX

_RECORD = ".delivery.json"
_COUNT_BLOCK = 2**20


@dataclass(frozen=True)
class Delivery:
    """How far the delivery of one run has come, kept in a file beside the run's.

    :param bytes: length of the run's file up to where the catalog has it.
    :param documents: the same as a number of documents.
    :param attempts: deliveries that failed, each begun anew from the first document.
    :param parked: no further attempt is made until the worker starts again.
    :param error: what the last attempt failed with.
    :param afresh: a repair has taken back what the catalog may have: where that may be, it is deleted first.
    """

    bytes: int = 0
    documents: int = 0
    attempts: int = 0
    parked: bool = False
    error: str = ""
    afresh: bool = False


@dataclass(frozen=True)
class PendingRun:
    """A run whose documents are not all in the catalog, or that has not ended."""

    uid: str
    path: Path
    size: int
    delivery: Delivery


class LineCounts:
    """How many documents files of runs hold. Of a file that has grown only what is new is read.

    During an outage of days gigabytes wait, and somebody asks several times a second.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int]] = {}

    def behind(self, runs: Iterable[tuple[Path, Delivery]]) -> int:
        """Documents of all ``runs`` that the catalog does not have."""
        before, self._known = self._known, {}
        behind = 0
        for path, delivery in runs:
            try:
                _, lines = self._known[path] = _counted(path, *before.get(path, (0, 0)))
            except FileNotFoundError:  # delivered meanwhile
                continue
            behind += max(0, lines - 1 - delivery.documents)  # the first line is the header
        return behind


def _counted(path: Path, offset: int, lines: int) -> tuple[int, int]:
    size = path.stat().st_size
    if size < offset:  # a line that a full disk cut was taken back
        offset, lines = 0, 0
    if size > offset:
        with path.open("rb") as file:
            file.seek(offset)
            while block := file.read(_COUNT_BLOCK):
                offset, lines = offset + len(block), lines + block.count(b"\n")
    return offset, lines


def record_path(path: Path) -> Path:
    """Where the delivery of the run file ``path`` is recorded."""
    return path.with_name(path.name.removesuffix(SUFFIX) + _RECORD)


def read_delivery(path: Path) -> Delivery:
    """The recorded delivery of a run file; nothing delivered when there is no record."""
    record = read_json(record_path(path)) or {}
    return Delivery(**{key: record[key] for key in Delivery.__dataclass_fields__ if key in record})


def write_delivery(path: Path, delivery: Delivery) -> None:
    """Record the delivery of a run file."""
    write_json(record_path(path), {"version": 1, **asdict(delivery)}, mode=0o644)


def pending_runs(layout: DataLayout) -> list[PendingRun]:
    """Every run in the spool that is not delivered whole."""
    found = []
    for path in layout.spool.glob(f"*{SUFFIX}"):
        try:
            size = path.stat().st_size
        except FileNotFoundError:  # delivered between the listing and here
            continue
        found.append(PendingRun(path.name.removesuffix(SUFFIX), path, size, read_delivery(path)))
    return found


def documents_behind(layout: DataLayout, counts: LineCounts | None = None) -> int:
    """Documents in the spool that the catalog does not have.

    :param counts: what was counted before, by who asks often.
    """
    return (counts or LineCounts()).behind((run.path, run.delivery) for run in pending_runs(layout))
