"""The one reliable reader of a camera's frames: a thread that owns the HDF5 file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.streams import StreamFile, StreamSink

from ._compression import FrameCompressor, encoder
from ._records import DetectorRecord, FrameRecord

# How often a full sink looks whether the acquisition was halted, s.
_HALT_POLL = 0.05


class FrameSink(StreamSink[FrameRecord]):
    """Write frames into a file on a thread of its own.

    :param path: of the file, which must not exist.
    :param record: what the file says about the camera.
    :param depth: frames that may wait; then :meth:`put` blocks, the camera's buffers fill and it loses frames.
    :param on_written: called in the writer thread after each flush with the number of readable rows.
    :param on_failed: called there once, when the file cannot be written any more.
    :raises CameraError: the record asks for a compression that is not installed.
    """

    batch = 8

    def __init__(
        self,
        path: Path,
        record: DetectorRecord,
        *,
        depth: int = 8,
        on_written: Callable[[int], None] = lambda _rows: None,
        on_failed: Callable[[RdaqError], None] = lambda _error: None,
    ) -> None:
        self.depth = depth
        self._record = record
        encode = encoder(record.compression)
        self._compressor = FrameCompressor(lambda pixels: encode(record.frame.check(pixels))) if encode else None
        super().__init__(path, "frames-writer", on_written, on_failed)

    def put(self, record: FrameRecord, generation: int, halt: threading.Event | None = None) -> bool:
        """Hand a frame over, waiting for room. Called by the acquisition thread; the sink releases the frame.

        :param halt: gives up waiting when it is set.
        :return: False when the frame was not taken: its generation has ended, or the sink failed or is closing.
        """
        with self._changed:
            while self._takes(generation) and len(self._waiting) >= self.depth:
                if halt is not None and halt.is_set():
                    break
                self._changed.wait(_HALT_POLL if halt is not None else None)
            if self._takes(generation) and len(self._waiting) < self.depth:
                if self._compressor is not None:
                    record.chunk = self._compressor.submit(record.ref)
                self._add(record)
                return True
            self.discarded += 1
        record.ref.release()
        return False

    def _create(self) -> StreamFile[FrameRecord]:
        from ._layout import FrameFile  # loads HDF5: only where frames are written

        return FrameFile(self.path, self._record)

    def _time(self, record: FrameRecord) -> float:
        # Readout and transfer, which a camera does not tell, count as part of the exposure.
        return record.ref.host_time - record.count_time / 2

    def _release(self, record: FrameRecord) -> None:
        record.ref.release()

    def _drop(self, record: FrameRecord) -> None:
        record.drop()
        self.discarded += 1

    def _finish(self, file: StreamFile[FrameRecord]) -> RdaqError | None:
        if self._compressor is not None:
            self._compressor.close()
        return super()._finish(file)
