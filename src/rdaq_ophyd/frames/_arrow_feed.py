"""Frames of a camera as a live Arrow stream: for analyses in other processes, which may miss some."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Self

import numpy as np

from rdaq_ophyd.errors import CameraError, FrameStreamError, RdaqError

from ._arrow_files import ArrowSink, Target
from ._camera import Camera
from ._lease import FrameRef
from ._records import FrameRecord
from ._statistics import frame_statistics
from ._tap import TapCounts

#: Seconds that closing waits for a reader that does not read.
PATIENCE = 5.0


class ArrowFeed:
    """Writes the newest frames of a camera into an Arrow IPC stream, from a thread of its own, until it is closed.

    A tap: the run's HDF5 file has all frames, the stream those that its reader is fast enough for; ``counts`` tells.
    Frames go straight from their leases into a file. For a pipe or socket, whose reader may not read, each is copied
    once, so that it keeps no buffer of the camera. A context manager.

    :param camera: connected.
    :param target: path of a file that does not exist, or a pipe or socket; see ``ArrowSink``.
    :raises DataDirectoryError: the file exists or cannot be made.
    """

    def __init__(self, camera: Camera, target: Target) -> None:
        self.camera = camera
        self.failure: RdaqError | None = None
        self._record = camera.frame_record()
        self._sink = ArrowSink(target, self._record, stream=True)
        frame = self._record.frame
        is_file = isinstance(target, str | os.PathLike)
        self._copy = None if is_file else np.empty(frame.shape, frame.dtype_numpy)
        self._closed = False
        self._tap = camera.tap("Arrow stream")
        self._thread = threading.Thread(target=self._run, name=f"frames-arrow {camera.name}", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> TapCounts:
        """What became of the frames: taken ones are in the stream."""
        return self._tap.counts

    def _run(self) -> None:
        try:
            for ref in self._tap:
                self._write(ref)
        except RdaqError as error:
            self.failure = error
            self._tap.close()

    def _write(self, ref: FrameRef) -> None:
        pixels, frame = ref.array, self._record.frame
        if pixels.shape != frame.shape or pixels.dtype.str != frame.dtype_numpy:
            ref.release()
            raise CameraError(
                f"{self.camera.name}: frames are {pixels.shape} of {pixels.dtype.str} now, its Arrow stream began with "
                f"{frame.shape} of {frame.dtype_numpy}",
                hint="begin a new stream after changing region or pixel format",
            )
        exposure = self.camera._pipeline.driver.exposure()
        statistics = frame_statistics(pixels)
        del pixels
        self._sink.write(FrameRecord(self._own(ref), statistics, ref.sequence, exposure))

    def _own(self, ref: FrameRef) -> FrameRef:
        """The frame itself, or where the reader may keep it waiting, a copy: the camera has its buffer back."""
        if self._copy is None:
            return ref
        with ref:
            np.copyto(self._copy, ref.array)
        return FrameRef(
            self._copy,
            sequence=ref.sequence,
            host_time=ref.host_time,
            hardware_time=ref.hardware_time,
            camera=ref.camera,
        )

    def close(self) -> None:
        """End the stream. A second call does nothing.

        :raises RdaqError: what ended it before: its reader is gone or does not read, the disk is full, or the frames
            changed.
        """
        if self._closed:
            return
        self._closed = True
        self._tap.close()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise FrameStreamError(
                f"{self.camera.name}: the reader of its Arrow stream has not read for {PATIENCE:g} s",
                hint="end the reader; the stream is without its end",
            )
        self._sink.close()
        if self.failure is not None:
            raise self.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
