"""Frames: leases on a camera's buffers, the HDF5 sink, and cameras as detectors."""

from ._camera import Camera, CameraConnector
from ._documents import SCALARS, FrameDocuments
from ._driver import CameraDriver
from ._edges import EdgeTriggered
from ._files import forecast, frame_file
from ._format import CameraIdentity, FrameFormat, PixelFormat, Range, Roi
from ._lease import FrameRef, LeaseBook
from ._load import SyntheticLoad
from ._logics import CameraAcquireLogic, CameraTriggerLogic, FrameDataLogic
from ._pipeline import FramePipeline
from ._records import COLUMNS, DATA, LAYOUT_VERSION, DetectorRecord, FrameRecord, column_path
from ._settings import CameraSettings, RoiSettings
from ._sink import FrameSink
from ._statistics import Statistics, frame_statistics
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
    "EdgeTriggered",
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
    "Roi",
    "RoiSettings",
    "Statistics",
    "SyntheticDriver",
    "SyntheticLoad",
    "column_path",
    "forecast",
    "frame_file",
    "frame_statistics",
    "sequence_of",
]
