"""The runs in the spool, in the order they began, and how each is delivered."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdaq_ophyd.document_lines import Document
from rdaq_ophyd.errors import CatalogError

from ._backlog import Delivery, read_delivery, record_path, write_delivery
from ._layout import DataLayout
from ._lock import is_held
from ._runfile import SUFFIX, RunFileReader
from ._shared import shared_catalog

if TYPE_CHECKING:
    from ._run_writer import RunDelivery

_LONGEST_PAUSE = 60.0
# Each delivery costs the server a request for every table and array that grew. The older a run, the rarer it is: from
# its 20th second on, when this is more than the worker's own pause between two looks. At most half a second: what is
# flushed is to be readable within one.
_SHARE_OF_AGE = 0.01
_SHORTEST_REST, _LONGEST_REST = 0.2, 0.5
_TORN_AFTER = 60.0


class QueuedRun:
    """One run's file on its way into the catalog.

    :param layout: the data directory.
    :param path: the run's file; moved to ``delivered/`` once the catalog has it whole, or to ``interrupted/`` when the
        process that wrote it died before the stop document.
    """

    def __init__(self, layout: DataLayout, path: Path) -> None:
        self.layout = layout
        self.path = path
        self.uid = path.name.removesuffix(SUFFIX)
        recorded = read_delivery(path)
        self.delivery = Delivery(error=recorded.error, afresh=recorded.afresh)
        if recorded.parked:  # it gets another chance whenever the worker starts
            write_delivery(path, self.delivery)
        self._reader = RunFileReader(path)
        self._run: RunDelivery | None = None
        self._not_before = self._first = 0.0

    def began(self) -> float:
        """When the file was made (s since the epoch); infinity while it has no header."""
        try:
            header = self._reader.header
        except CatalogError:
            return 0.0  # of another format: advance() says so
        return header.created if header else float("inf")

    def due(self) -> bool:
        """Whether there may be something to deliver now."""
        return not self.delivery.parked and time.monotonic() >= self._not_before

    def advance(self, client: Any) -> bool:
        """Deliver the next block of documents, and put the file away when the run is over.

        :return: whether there may be more to deliver at once.
        """
        owner_gone = self._owner_gone()  # asked first: what an owner wrote before it died is read below
        documents = self._reader.read()
        if documents:
            self._deliver(client, documents)
            if documents[-1][0] == "stop":
                self._put_away(self.layout.delivered)
                return False
            if self._reader.offset < self.path.stat().st_size:
                return True
            self._not_before = (now := time.monotonic()) + rest(now - self._first)
            return False
        if owner_gone:
            self._put_away(self.layout.interrupted)
        return False

    def restart(self, error: str) -> None:
        """Begin anew with the first document the next time."""
        self._begin_anew(replace(self.delivery, bytes=0, documents=0, error=error))

    def fail(self, error: str, *, most_attempts: int) -> None:
        """Begin anew after a pause that grows; park the run when that was the last attempt."""
        attempts = self.delivery.attempts + 1
        self._not_before = time.monotonic() + min(2.0 ** min(attempts - 1, 16) / 2, _LONGEST_PAUSE)
        parked = attempts >= most_attempts
        self._begin_anew(Delivery(error=error, attempts=attempts, parked=parked, afresh=self.delivery.afresh))

    def _begin_anew(self, delivery: Delivery) -> None:
        self._run = None
        self._reader = RunFileReader(self.path)
        if delivery != self.delivery:
            self.delivery = delivery
            write_delivery(self.path, delivery)

    def _deliver(self, client: Any, documents: list[tuple[str, Document]]) -> None:
        if self._run is None:
            from ._run_writer import RunDelivery  # seconds of imports, in the worker only

            shared = shared_catalog(self.layout)
            # What one's own catalog refused is written whole: the first page of a table tells the kinds of its columns.
            afresh = shared is None and (self.delivery.attempts > 0 or self.delivery.afresh)
            self._first = time.monotonic()
            self._run = RunDelivery(client, self.uid, afresh=afresh, paths=shared.paths if shared else None)
        self._run.write(documents)
        self.delivery = replace(self.delivery, bytes=self._reader.offset, documents=self._reader.documents, error="")
        write_delivery(self.path, self.delivery)

    def _owner_gone(self) -> bool:
        header = self._reader.header
        if header is None:  # written with the first document in one go: without it, a crash tore it
            return time.time() - self.path.stat().st_mtime > _TORN_AFTER
        return not is_held(self.layout.owners / header.owner)

    def _put_away(self, folder: Path) -> None:
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, folder / self.path.name)
        record_path(self.path).unlink(missing_ok=True)


def rest(age: float) -> float:
    """Seconds until more of a run is delivered that has been on its way for ``age`` seconds."""
    share = age * _SHARE_OF_AGE
    return min(share, _LONGEST_REST) if share > _SHORTEST_REST else 0.0


def queued_runs(layout: DataLayout, known: dict[str, QueuedRun]) -> dict[str, QueuedRun]:
    """The runs that are in the spool now, in the order they began; those in ``known`` keep their progress."""
    runs = []
    for path in layout.spool.glob(f"*{SUFFIX}"):
        uid = path.name.removesuffix(SUFFIX)
        runs.append(known.get(uid) or QueuedRun(layout, path))
    return {run.uid: run for run in sorted(runs, key=QueuedRun.began)}
