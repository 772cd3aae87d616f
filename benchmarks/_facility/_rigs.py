"""A rig of the load: a session's spool and worker, in a process of its own or, for a trial, in this one.

``python -m benchmarks._facility._rigs ROOT NAME`` is one in a process of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from benchmarks._child import Child, obey
from benchmarks._facility._recording import Load, Recorded, record
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.catalog.__main__ import connect
from rdaq_ophyd.catalog._layout import DataLayout
from rdaq_ophyd.catalog._lock import ProcessLock
from rdaq_ophyd.catalog._stopping import Stopping
from rdaq_ophyd.catalog._worker import Worker

PATIENCE = 300.0
"""Seconds for whatever a rig is told to do, at most."""


class Session:
    """The catalog of a session: its own process delivers, or a thread where ``threaded``."""

    def __init__(self, root: Path, name: str, *, threaded: bool = False) -> None:
        self.name, self._scan_id = name, 0
        self.catalog = EmbeddedCatalog(root, rig=name, profile=None)
        self._thread = Delivery(self.catalog.layout) if threaded else None
        self.catalog.start()

    def record(self, uids: Sequence[str], load: Load) -> list[Recorded]:
        """One run after another."""
        found = []
        for uid in uids:
            self._scan_id += 1
            found.append(record(self.catalog.spool, self.name, self._scan_id, uid, load))
        return found

    def drained(self, seconds: float) -> bool:
        """Wait until the catalog has everything; whether it came to that."""
        return self.catalog.wait_drained(timeout=seconds)

    def close(self) -> None:
        """End it."""
        if self._thread is not None:
            self._thread.end()
        self.catalog.close()


class Delivery:
    """The worker in a thread; it holds the lock that says so, unless another holds it already."""

    def __init__(self, layout: DataLayout) -> None:
        self._lock, self._stopping = ProcessLock(layout.spool / "worker.lock"), Stopping()
        self._worker = Worker(layout, lambda: connect(layout))
        self._thread = (
            threading.Thread(target=self._worker.run, args=(self._stopping,)) if self._lock.acquire() else None
        )
        if self._thread is not None:
            self._thread.start()

    def end(self) -> None:
        """End it after what it is at."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join(30)
            self._worker.close()
            self._lock.release()


class Rig(Protocol):
    """What the generator tells a rig to do."""

    name: str

    def record(self, uids: Sequence[str], load: Load) -> Callable[[], list[Recorded]]:
        """Begin to record; what is returned waits for the end of it."""

    def drained(self, seconds: float) -> bool:
        """Wait until the catalog has everything; whether it came to that."""

    def close(self) -> None:
        """End it."""


class RigHere:
    """A rig in this process."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self._session = Session(root, name, threaded=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def record(self, uids: Sequence[str], load: Load) -> Callable[[], list[Recorded]]:
        """As in :class:`Rig`."""
        begun: Future[list[Recorded]] = self._pool.submit(self._session.record, uids, load)
        return lambda: begun.result(PATIENCE)

    def drained(self, seconds: float) -> bool:
        """As in :class:`Rig`."""
        return self._session.drained(seconds)

    def close(self) -> None:
        """As in :class:`Rig`."""
        self._pool.shutdown()
        self._session.close()


class RigApart:
    """A rig in a process of its own, whose worker is another."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self._child = Child(__name__, str(root), name)

    def record(self, uids: Sequence[str], load: Load) -> Callable[[], list[Recorded]]:
        """As in :class:`Rig`."""
        self._child.tell(do="record", uids=list(uids), load=asdict(load))
        return lambda: [Recorded(**each) for each in self._child.answer(PATIENCE)]

    def drained(self, seconds: float) -> bool:
        """As in :class:`Rig`."""
        self._child.tell(do="drained", seconds=seconds)
        return bool(self._child.answer(seconds + 30))

    def close(self) -> None:
        """As in :class:`Rig`."""
        self._child.close()


def main(root: str, name: str) -> None:
    """The process of a rig."""
    session = Session(Path(root), name)

    def do(do: str, **words: Any) -> Any:
        if do == "record":
            return [asdict(each) for each in session.record(words["uids"], Load(**words["load"]))]
        return session.drained(words["seconds"])

    obey("ready", do)
    session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
