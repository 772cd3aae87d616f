"""The one reliable reader of a camera's frames: a thread that owns the HDF5 file."""

from __future__ import annotations

import logging
import threading
from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rdaq_ophyd.errors import RdaqError

from ._compression import FrameCompressor, encoder
from ._files import data_directory_error
from ._records import DetectorRecord, FrameRecord

if TYPE_CHECKING:
    from ._layout import FrameFile

logger = logging.getLogger(__name__)
# Frames written before one flush when they wait in a row; each flush makes all of them readable at once.
_BATCH = 8
# How often a full sink looks whether the acquisition was halted, s.
_HALT_POLL = 0.05


@dataclass
class _Truncate:
    rows: int
    done: Future[int]


class FrameSink:
    """Write frames into a file on a thread of its own.

    :param path: of the file, which must not exist.
    :param record: what the file says about the camera.
    :param depth: frames that may wait; then :meth:`put` blocks, the camera's buffers fill and it loses frames.
    :param on_written: called in the writer thread after each flush with the number of readable rows.
    :param on_failed: called there once, when the file cannot be written any more.
    :raises CameraError: the record asks for a compression that is not installed.
    """

    def __init__(
        self,
        path: Path,
        record: DetectorRecord,
        *,
        depth: int = 8,
        on_written: Callable[[int], None] = lambda _rows: None,
        on_failed: Callable[[RdaqError], None] = lambda _error: None,
    ) -> None:
        self.path = path
        self.depth = depth
        self.lost = 0
        self.discarded = 0
        self.failure: RdaqError | None = None
        self.times = array("d")  # of each readable row: the middle of its exposure, seconds since 1970
        self._record = record
        self._on_written = on_written
        self._on_failed = on_failed
        self._changed = threading.Condition()
        self._frames: deque[FrameRecord] = deque()
        self._commands: deque[_Truncate] = deque()
        self._writing = False
        self._generation = 0
        self._closing: Future[None] | None = None
        self._exit_status = "complete"
        self._opened: Future[None] = Future()
        encode = encoder(record.compression)
        self._compressor = FrameCompressor(encode) if encode else None
        self._thread = threading.Thread(target=self._run, name=f"frames-writer {path.name}", daemon=True)

    def open(self) -> Future[None]:
        """Start the thread; the future is done when the file stands, with SWMR on.

        The future raises :class:`~rdaq_ophyd.errors.DataDirectoryError` when it cannot.
        """
        self._thread.start()
        return self._opened

    def put(self, record: FrameRecord, generation: int, halt: threading.Event | None = None) -> bool:
        """Hand a frame over, waiting for room. Called by the acquisition thread; the sink releases the frame.

        :param halt: gives up waiting when it is set.
        :return: False when the frame was not taken: its generation has ended, or the sink failed or is closing.
        """
        with self._changed:
            while self._takes(generation) and len(self._frames) >= self.depth:
                if halt is not None and halt.is_set():
                    break
                self._changed.wait(_HALT_POLL if halt is not None else None)
            if self._takes(generation) and len(self._frames) < self.depth:
                if self._compressor is not None:
                    record.chunk = self._compressor.submit(record.ref)
                self._frames.append(record)
                self._changed.notify_all()
                return True
            self.discarded += 1
        record.ref.release()
        return False

    def _takes(self, generation: int) -> bool:
        return generation == self._generation and self.failure is None and self._closing is None

    def drain(self, timeout: float) -> bool:
        """Wait in a thread until nothing waits to be written; False when something still does after ``timeout`` s."""
        with self._changed:
            return self._changed.wait_for(lambda: self.idle or self.failure is not None, timeout)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not (self._frames or self._writing)

    def truncate(self, rows: int, generation: int) -> Future[int]:
        """End the current generation: waiting frames and the rows from ``rows`` on are discarded and counted.

        :param generation: the only one whose frames are taken from now on.
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
        while self._frames:
            self._frames.popleft().drop()
            self.discarded += 1

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
        from ._layout import FrameFile  # loads HDF5: only where frames are written

        try:
            file = FrameFile(self.path, self._record)
        except Exception as error:  # noqa: BLE001  whatever HDF5 raises reaches the one who waits
            self.failure = data_directory_error(error, self.path)
            self._opened.set_exception(self.failure)
            return
        self._opened.set_result(None)
        try:
            while self._step(file):
                pass
        except Exception as error:  # noqa: BLE001  it reaches the status that waits for the frames
            self._fail(error)
        finally:
            self._finish(file)

    def _step(self, file: FrameFile) -> bool:
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            while not (self._frames or self._commands or self._closing):
                self._changed.wait()
            command = self._commands.popleft() if self._commands else None
            batch = [] if command else [self._frames.popleft() for _ in range(min(_BATCH, len(self._frames)))]
            self._writing = bool(batch)
            self._changed.notify_all()
        if command:
            self._truncate(file, command)
        elif batch:
            self._write(file, batch)
        return not (self._closing and not self._frames and not self._commands)

    def _write(self, file: FrameFile, batch: list[FrameRecord]) -> None:
        try:
            file.append(batch, self.lost)
        finally:
            for record in batch:
                record.ref.release()
        self.times.extend(record.ref.host_time - record.count_time / 2 for record in batch)
        self._on_written(file.rows)

    def _truncate(self, file: FrameFile, command: _Truncate) -> None:
        try:
            self.discarded += max(0, file.rows - command.rows)
            file.truncate(command.rows, self.discarded)
            del self.times[command.rows :]
        finally:
            command.done.set_result(file.rows)

    def _fail(self, error: Exception) -> None:
        logger.error("%s: writing failed: %s", self.path, error)
        with self._changed:
            self.failure = data_directory_error(error, self.path)
            while self._frames:
                self._frames.popleft().drop()
            while self._commands:
                self._commands.popleft().done.set_result(0)
            self._changed.notify_all()
        self._on_failed(self.failure)
        with self._changed:
            while self._closing is None:
                self._changed.wait()

    def _finish(self, file: FrameFile) -> None:
        closing = self._closing or Future()
        if self._compressor is not None:
            self._compressor.close()
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
