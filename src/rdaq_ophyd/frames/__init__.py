"""Frames: leases on a camera's buffers, the HDF5 sink, and cameras as detectors."""

from ._arrow import detector_record, frame_batch, frame_records, frame_schema, frame_tensor, tensor_buffers
from ._arrow_feed import ArrowFeed
from ._arrow_files import ArrowSink, hdf5_from_arrow, read_frames, write_tensors
from ._arrow_hdf5 import frame_blocks
from ._arrow_stream import FrameStream
from ._camera import Camera
from ._clock import CameraClock
from ._compression import Compression, FrameCompressor, encoder
from ._connector import CameraConnector
from ._documents import SCALARS, FrameDocuments
from ._driver import CameraDriver
from ._edges import EdgeTriggered
from ._files import data_directory_error, forecast, frame_file
from ._format import CameraIdentity, FrameFormat, PixelFormat, Range, Roi
from ._gone import close_file, ensure_named
from ._lease import FrameRef, LeaseBook
from ._load import SyntheticLoad
from ._logics import CameraAcquireLogic, CameraTriggerLogic, FrameDataLogic
from ._memory import LARGE_PAGE, frame_array, frame_memory
from ._new_file import create_file, discard_file
from ._pace import Paced, refuse_faster
from ._paths import absolute_paths
from ._pipeline import FramePipeline
from ._readable import ReadableFile, note_end, read_readable
from ._records import COLUMNS, DATA, DETECTOR, LAYOUT_VERSION, DetectorRecord, FrameRecord, column_path
from ._rows import Rows
from ._settings import CameraSettings, RoiSettings
from ._sink import FrameSink
from ._statistics import Statistics, frame_statistics
from ._superblock import WriterMark, clear_mark, writer_mark
from ._synthetic import Spot, SyntheticDriver, sequence_of
from ._tap import FanOut, FrameTap, TapCounts

__all__ = [
    "COLUMNS",
    "DATA",
    "DETECTOR",
    "LARGE_PAGE",
    "LAYOUT_VERSION",
    "SCALARS",
    "ArrowFeed",
    "ArrowSink",
    "Camera",
    "CameraAcquireLogic",
    "CameraClock",
    "CameraConnector",
    "CameraDriver",
    "CameraIdentity",
    "CameraSettings",
    "CameraTriggerLogic",
    "Compression",
    "DetectorRecord",
    "EdgeTriggered",
    "FanOut",
    "FrameCompressor",
    "FrameDataLogic",
    "FrameDocuments",
    "FrameFormat",
    "FramePipeline",
    "FrameRecord",
    "FrameRef",
    "FrameSink",
    "FrameStream",
    "FrameTap",
    "LeaseBook",
    "Paced",
    "PixelFormat",
    "Range",
    "ReadableFile",
    "Roi",
    "RoiSettings",
    "Rows",
    "Spot",
    "Statistics",
    "SyntheticDriver",
    "SyntheticLoad",
    "TapCounts",
    "WriterMark",
    "absolute_paths",
    "clear_mark",
    "close_file",
    "column_path",
    "create_file",
    "data_directory_error",
    "detector_record",
    "discard_file",
    "encoder",
    "ensure_named",
    "forecast",
    "frame_array",
    "frame_batch",
    "frame_blocks",
    "frame_file",
    "frame_memory",
    "frame_records",
    "frame_schema",
    "frame_statistics",
    "frame_tensor",
    "hdf5_from_arrow",
    "note_end",
    "read_frames",
    "read_readable",
    "refuse_faster",
    "sequence_of",
    "tensor_buffers",
    "write_tensors",
    "writer_mark",
]
