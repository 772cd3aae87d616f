"""Frames: leases on a camera's buffers, the HDF5 sink, and cameras as detectors."""

from ._camera import Camera, CameraConnector
from ._documents import SCALARS, FrameDocuments
from ._driver import CameraDriver
from ._files import forecast, frame_file
from ._format import CameraIdentity, FrameFormat, PixelFormat, Range, Roi
from ._lease import FrameRef, LeaseBook
from ._logics import CameraAcquireLogic, CameraTriggerLogic, FrameDataLogic
from ._pipeline import FramePipeline
from ._readable import ReadableFile, note_end, read_readable
from ._records import COLUMNS, DATA, LAYOUT_VERSION, DetectorRecord, FrameRecord, column_path
from ._settings import CameraSettings, RoiSettings
from ._sink import FrameSink
from ._statistics import Statistics, frame_statistics
from ._superblock import WriterMark, clear_mark, writer_mark
from ._synthetic import SyntheticDriver, sequence_of

__all__ = [
    "COLUMNS",
    "DATA",
    "LAYOUT_VERSION",
    "SCALARS",
    "Camera",
    "CameraAcquireLogic",
    "CameraConnector",
    "CameraDriver",
    "CameraIdentity",
    "CameraSettings",
    "CameraTriggerLogic",
    "DetectorRecord",
    "FrameDataLogic",
    "FrameDocuments",
    "FrameFormat",
    "FramePipeline",
    "FrameRecord",
    "FrameRef",
    "FrameSink",
    "LeaseBook",
    "PixelFormat",
    "Range",
    "ReadableFile",
    "Roi",
    "RoiSettings",
    "Statistics",
    "SyntheticDriver",
    "WriterMark",
    "clear_mark",
    "column_path",
    "forecast",
    "frame_file",
    "frame_statistics",
    "note_end",
    "read_readable",
    "sequence_of",
    "writer_mark",
]
