"""The one reliable reader of what an instrument takes: a thread that owns the HDF5 file."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from rdaq_ophyd.errors import RdaqError

from ._disk import data_directory_error

logger = logging.getLogger(__name__)


class StreamFile[Item](Protocol):
    """An open file, one row an item. Only the writer thread touches it."""

    rows: int

    def append(self, items: list[Item], lost: int, /) -> None:
        """Write items and flush: readable by others on return."""
        ...

    def truncate(self, rows: int, discarded: int, /) -> None:
        """Take rows back: the next items are written over them."""
        ...

    def recover(self) -> None:
        """After a failed write: cut every dataset back to the rows that were flushed."""
        ...

    def finish(self, exit_status: str, lost: int, discarded: int, /) -> None:
        """Write what is only known at the end; the file stays open."""
        ...

    def close(self) -> None:
        """Close the file; idempotent."""
        ...


@dataclass
class _Truncate:
    rows: int
    done: Future[int]


class StreamSink[Item](ABC):
    """Write items into a file on a thread of its own. Each belongs to a generation; only the current one's are taken.

    :param path: of the file, which must not exist.
    :param writer: what the thread is called.
    :param on_written: called in the writer thread after each flush with the number of readable rows.
    :param on_failed: called there once, when the file cannot be written any more.
    :ivar times: of each readable row: the middle of its exposure or block, s since 1970.
    :ivar lost: what the instrument lost, as the acquisition thread counts it.
    :ivar discarded: what was taken, but is not in the file: thrown away by a pause, a stop or the end, or by a disk
        that failed. What was taken is in the file or counted here.
    """

    batch: ClassVar[int]
    """Items written before one flush when they wait in a row; each flush makes all of them readable at once."""
    weight = 1
    """What an item counts for in ``discarded``."""

    def __init__(
        self, path: Path, writer: str, on_written: Callable[[int], None], on_failed: Callable[[RdaqError], None]
    ) -> None:
        self.path = path
        self.lost = 0
        self.discarded = 0
        self.failure: RdaqError | None = None
        self.times = array("d")
        self._on_written = on_written
        self._on_failed = on_failed
        self._changed = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._commands: deque[_Truncate] = deque()
        self._writing = False
        self._generation = 0
        self._closing: Future[None] | None = None
        self._exit_status = "complete"
        self._keep: int | None = None
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=f"{writer} {path.name}", daemon=True)

    @abstractmethod
    def _create(self) -> StreamFile[Item]:
        """Make the file."""

    @abstractmethod
    def _time(self, item: Item) -> float:
        """The middle of its exposure or block, s since 1970."""

    @abstractmethod
    def _release(self, item: Item) -> None:
        """Give its memory back, once it is written."""

    @abstractmethod
    def _drop(self, item: Item) -> None:
        """Give its memory back and count it; it is not written."""

    def open(self) -> Future[None]:
        """Start the thread; the future is done when the file stands, with SWMR on.

        The future raises :class:`~rdaq_ophyd.errors.DataDirectoryError` when it cannot.
        """
        self._thread.start()
        return self._opened

    def _takes(self, generation: int) -> bool:
        return generation == self._generation and self.failure is None and self._closing is None

    def _add(self, item: Item) -> None:
        self._waiting.append(item)
        self._changed.notify_all()

    def discard(self, number: int) -> None:
        """Count what was taken, but will not be in the file."""
        with self._changed:
            self.discarded += number

    def drain(self, timeout: float) -> bool:
        """Wait in a thread until nothing waits to be written; False when something still does after ``timeout`` s."""
        with self._changed:
            return self._changed.wait_for(lambda: self.idle or self.failure is not None, timeout)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not (self._waiting or self._writing)

    def truncate(self, rows: int, generation: int) -> Future[int]:
        """End the current generation: waiting items and the rows from ``rows`` on are discarded and counted.

        :param generation: the only one whose items are taken from now on.
        :return: done with the number of rows when nothing of the old generation can be written any more.
        """
        done: Future[int] = Future()
        with self._changed:
            if self._closing is not None or self.failure is not None:
                done.set_result(rows)
                return done
            self._generation = generation
            self._drop_waiting()
            self._commands.append(_Truncate(rows, done))
            self._changed.notify_all()
        return done

    def _drop_waiting(self) -> None:
        while self._waiting:
            self._drop(self._waiting.popleft())

    def close(self, exit_status: str, keep: int | None = None) -> Future[None]:
        """Write what waits, note the end and close the file. Any further call returns the same future.

        :param keep: rows that stay; those after them are discarded and counted. None for all.
        """
        with self._changed:
            if self._closing is None:
                self._closing = Future()
                self._changed.notify_all()
                self._exit_status, self._keep = exit_status, keep
        return self._closing

    # -- the writer thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            file = self._create()
        except Exception as error:  # noqa: BLE001  whatever HDF5 raises reaches the one who waits
            self.failure = data_directory_error(error, self.path)
            self._opened.set_exception(self.failure)
            return
        self._opened.set_result(None)
        try:
            while self._step(file):
                pass
        except Exception as error:  # noqa: BLE001  it reaches the status that waits for what is written
            self._fail(error)
        finally:
            problem = self._finish(file)
            # Its HDF5 objects go before anybody knows: a process that then ends would wait for the lock of this thread.
            del file
            self._closed(problem)

    def _closed(self, problem: RdaqError | None) -> None:
        closing = self._closing or Future()
        if problem is None:
            closing.set_result(None)
        else:
            closing.set_exception(problem)

    def _step(self, file: StreamFile[Item]) -> bool:
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            while not (self._waiting or self._commands or self._closing):
                self._changed.wait()
            command = self._commands.popleft() if self._commands else None
            batch = [] if command else [self._waiting.popleft() for _ in range(min(self.batch, len(self._waiting)))]
            self._writing = bool(batch)
            self._changed.notify_all()
        if command:
            self._truncate(file, command)
        elif batch:
            self._write(file, batch)
        return not (self._closing and not self._waiting and not self._commands)

    def _write(self, file: StreamFile[Item], batch: list[Item]) -> None:
        rows = file.rows
        try:
            file.append(batch, self.lost)
            self.times.extend(map(self._time, batch))
        finally:
            self.discard((len(batch) - (file.rows - rows)) * self.weight)
            for item in batch:
                self._release(item)
        self._on_written(file.rows)

    def _truncate(self, file: StreamFile[Item], command: _Truncate) -> None:
        try:
            self.discard(max(0, file.rows - command.rows) * self.weight)
            file.truncate(command.rows, self.discarded)
            del self.times[command.rows :]
        finally:
            command.done.set_result(file.rows)

    def _fail(self, error: Exception) -> None:
        logger.error("%s: writing failed: %s", self.path, str(error))  # the error itself would keep the file alive
        with self._changed:
            self.failure = error if isinstance(error, RdaqError) else data_directory_error(error, self.path)
            self._drop_waiting()
            while self._commands:
                self._commands.popleft().done.set_result(0)
            self._changed.notify_all()
        self._on_failed(self.failure)
        with self._changed:
            while self._closing is None:
                self._changed.wait()

    def _finish(self, file: StreamFile[Item]) -> RdaqError | None:
        try:
            if self.failure is not None:
                file.recover()
            if self._keep is not None and file.rows > self._keep:
                self.discard((file.rows - self._keep) * self.weight)
                file.truncate(self._keep, self.discarded)
            file.finish("failed" if self.failure else self._exit_status, self.lost, self.discarded)
        except Exception as error:  # noqa: BLE001  the disk that failed may fail again; the file is closed all the same
            logger.error("%s: the end could not be noted in the file: %s", self.path, error)
        try:
            file.close()
            if file.rows == 0:
                self.path.unlink(missing_ok=True)
        except Exception as error:  # noqa: BLE001  it reaches the one who closes, unless the run failed of it before
            logger.error("%s: closing failed: %s", self.path, error)
            if self.failure is None:
                return data_directory_error(error, self.path)
        return None
