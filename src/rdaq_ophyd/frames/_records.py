"""What stands where in a frame file, and what goes into it; loads no HDF5."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from ._compression import Chunk, Compression
from ._format import CameraIdentity, FrameFormat, PixelFormat, Roi
from ._lease import FrameRef
from ._statistics import Statistics

LAYOUT_VERSION = 1
DATA = "/entry/data/data"
DETECTOR = "/entry/instrument/detector"
# Values of one column in a chunk: 8 KiB, rewritten whole at each flush.
COLUMN_CHUNK = 1024
# name -> dtype, units, long name
COLUMNS = {
    "timestamps": ("<f8", "s", "arrival at the host as the camera's clock tells it, seconds since 1970-01-01 UTC"),
    "hardware_timestamps": ("<u8", "", "the camera's own clock, ticks"),
    "sequence_numbers": ("<u8", "", "frame number given by the camera; a gap is a frame lost or discarded"),
    "count_time": ("<f8", "s", "exposure"),
    "lost_frames": ("<u4", "", "frames that the camera lost just before this one"),
    "mean": ("<f8", "counts", "mean over the frame"),
    "max": ("<u4", "counts", "brightest pixel"),
    "sum": ("<u8", "counts", "sum over the frame"),
}


def column_path(name: str) -> str:
    """Where a per-frame column stands in the file."""
    return f"/entry/data/{name}"


@dataclass(frozen=True, slots=True)
class DetectorRecord:
    """What the file says about the camera."""

    name: str
    identity: CameraIdentity
    pixel_format: PixelFormat
    roi: Roi
    frame: FrameFormat
    compression: Compression = Compression.NONE


@dataclass(slots=True)
class FrameRecord:
    """A frame on its way into the file.

    :param lost: frames that the camera lost just before it.
    """

    ref: FrameRef
    statistics: Statistics
    sequence: int
    count_time: float
    chunk: Future[Chunk] | None = None
    lost: int = 0

    def finish(self) -> None:
        """Wait until it is compressed, where it is to be.

        :raises Exception: as the codec does.
        """
        if self.chunk is not None:
            self.chunk.result()

    def pixels(self) -> Chunk:
        """What HDF5 gets: the camera's own buffer, or the compressed frame, once it is."""
        return self.ref.array if self.chunk is None else self.chunk.result()

    @property
    def nbytes(self) -> int:
        """Of what HDF5 gets."""
        return memoryview(self.pixels()).nbytes

    def drop(self) -> None:
        """Give the lease up; the frame is not written."""
        if self.chunk is not None:
            self.chunk.cancel()
        self.ref.release()

    def columns(self) -> dict[str, float | int]:
        """The row of scalars that goes with the frame."""
        return {
            "timestamps": self.ref.host_time,
            "hardware_timestamps": self.ref.hardware_time,
            "sequence_numbers": self.sequence,
            "count_time": self.count_time,
            "lost_frames": self.lost,
            **self.statistics._asdict(),
        }
