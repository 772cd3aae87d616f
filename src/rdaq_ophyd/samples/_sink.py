"""The one reliable reader of a card's samples: a thread that owns the HDF5 file."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.frames import data_directory_error

from ._records import CardRecord
from ._ring import Block, BlockRing

if TYPE_CHECKING:
    from ._layout import SampleFile

logger = logging.getLogger(__name__)
# Blocks written before one flush when they wait in a row; each flush makes all of them readable at once.
_BATCH = 64


@dataclass
class _Truncate:
    rows: int
    done: Future[int]


class SampleSink:
    """Write blocks into a file on a thread of its own. What may wait for the disk is bounded by the ring.

    :param path: of the file, which must not exist.
    :param record: what the file says about the card.
    :param depth: blocks in memory; with all of them waiting the card's own buffer fills, and then it loses samples.
    :param on_written: called in the writer thread after each flush with the number of readable blocks.
    :param on_failed: called there once, when the file cannot be written any more.
    :ivar times: the middle of each block in the file, s since the epoch.
    :ivar lost: samples that the card lost, as the acquisition thread counts them.
    :ivar discarded: samples that a pause, a stop or the end threw away.
    """

    def __init__(
        self,
        path: Path,
        record: CardRecord,
        *,
        depth: int = 8,
        on_written: Callable[[int], None] = lambda _rows: None,
        on_failed: Callable[[RdaqError], None] = lambda _error: None,
    ) -> None:
        self.path = path
        self.record = record
        self.ring = BlockRing(record.form, depth)
        self.times: list[float] = []
        self.lost = 0
        self.discarded = 0
        self.failure: RdaqError | None = None
        self._on_written = on_written
        self._on_failed = on_failed
        self._changed = threading.Condition()
        self._blocks: deque[Block] = deque()
        self._commands: deque[_Truncate] = deque()
        self._generation = 0
        self._closing: Future[None] | None = None
        self._exit_status = "complete"
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=f"samples-writer {path.name}", daemon=True)

    def open(self) -> Future[None]:
        """Start the thread; the future is done when the file stands, with SWMR on.

        The future raises :class:`~rdaq_ophyd.errors.DataDirectoryError` when it cannot.
        """
        self._thread.start()
        return self._opened

    def put(self, block: Block, generation: int) -> bool:
        """Hand a block of the ring over; the sink gives it back.

        :return: False when it was not taken: its generation has ended, or the sink failed or is closing.
        """
        with self._changed:
            if generation == self._generation and self.failure is None and self._closing is None:
                self._blocks.append(block)
                self._changed.notify_all()
                return True
            self._drop(block)
        return False

    def discard(self, samples: int) -> None:
        """Count samples that did not fill a block."""
        with self._changed:
            self.discarded += samples

    def _drop(self, block: Block) -> None:
        block.release()
        self.discarded += self.record.form.samples

    def truncate(self, rows: int, generation: int) -> Future[int]:
        """End the current generation: waiting blocks and the rows from ``rows`` on are discarded and counted.

        :param generation: the only one whose blocks are taken from now on.
        :return: done with the number of rows when nothing of the old generation can be written any more.
        """
        done: Future[int] = Future()
        with self._changed:
            if self._closing is not None or self.failure is not None:
                done.set_result(rows)
                return done
            self._generation = generation
            while self._blocks:
                self._drop(self._blocks.popleft())
            self._commands.append(_Truncate(rows, done))
            self._changed.notify_all()
        return done

    def close(self, exit_status: str) -> Future[None]:
        """Write what waits, note the end and close the file. Any further call returns the same future."""
        with self._changed:
            if self._closing is None:
                self._closing = Future()
                self._changed.notify_all()
                self._exit_status = exit_status
        return self._closing

    # -- the writer thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        from ._layout import SampleFile  # loads HDF5: only where samples are written

        try:
            file = SampleFile(self.path, self.record)
        except Exception as error:  # noqa: BLE001  whatever HDF5 raises reaches the one who waits
            self.failure = data_directory_error(error, self.path)
            self._opened.set_exception(self.failure)
            return
        self._opened.set_result(None)
        try:
            while self._step(file):
                pass
        except Exception as error:  # noqa: BLE001  it reaches the status that waits for the samples
            self._fail(error)
        finally:
            self._finish(file)

    def _step(self, file: SampleFile) -> bool:
        with self._changed:
            while not (self._blocks or self._commands or self._closing):
                self._changed.wait()
            command = self._commands.popleft() if self._commands else None
            batch = [] if command else [self._blocks.popleft() for _ in range(min(_BATCH, len(self._blocks)))]
        if command:
            self._truncate(file, command)
        elif batch:
            self._write(file, batch)
        return not (self._closing and not self._blocks and not self._commands)

    def _write(self, file: SampleFile, batch: list[Block]) -> None:
        half = self.record.form.samples / self.record.rate / 2
        try:
            file.append(batch, self.lost)
            self.times += [block.start + half for block in batch]
        finally:
            for block in batch:
                block.release()
        self._on_written(file.rows)

    def _truncate(self, file: SampleFile, command: _Truncate) -> None:
        try:
            self.discard(max(0, file.rows - command.rows) * self.record.form.samples)
            file.truncate(command.rows, self.discarded)
            del self.times[file.rows :]
        finally:
            command.done.set_result(file.rows)

    def _fail(self, error: Exception) -> None:
        logger.error("%s: writing failed: %s", self.path, error)
        with self._changed:
            self.failure = data_directory_error(error, self.path)
            while self._blocks:
                self._drop(self._blocks.popleft())
            while self._commands:
                self._commands.popleft().done.set_result(0)
        self._on_failed(self.failure)
        with self._changed:
            while self._closing is None:
                self._changed.wait()

    def _finish(self, file: SampleFile) -> None:
        closing = self._closing or Future()
        try:
            if self.failure is not None:
                file.recover()
            file.finish("failed" if self.failure else self._exit_status, self.lost, self.discarded)
        except Exception as error:  # noqa: BLE001  the disk that failed may fail again; the file is closed all the same
            logger.error("%s: the end could not be noted in the file: %s", self.path, error)
        try:
            file.close()
            if file.rows == 0:
                self.path.unlink(missing_ok=True)
            closing.set_result(None)
        except Exception as error:  # noqa: BLE001  it reaches the one who closes, unless the run failed of it before
            logger.error("%s: closing failed: %s", self.path, error)
            if self.failure is None:
                closing.set_exception(data_directory_error(error, self.path))
            else:
                closing.set_result(None)
