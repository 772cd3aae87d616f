"""What a server and its clients say to each other: the messages of ``daq.proto``, with values and errors as some."""

from . import daq_pb2 as messages
from ._errors import ERROR_KEY, error_from, error_message
from ._frames import FrameParcel, frame_from, frames_from
from ._host import this_host
from ._samples import FLUSH, row_dtype, rows_from, sample_bytes, samples_from
from ._values import from_value, to_value
from .daq_pb2_grpc import DaqServicer, DaqStub, add_DaqServicer_to_server

SERVICE = messages.DESCRIPTOR.services_by_name["Daq"].full_name
"""Name of the service, for its health and for reflection."""

__all__ = [
    "ERROR_KEY",
    "FLUSH",
    "SERVICE",
    "DaqServicer",
    "DaqStub",
    "FrameParcel",
    "add_DaqServicer_to_server",
    "error_from",
    "error_message",
    "frame_from",
    "frames_from",
    "from_value",
    "messages",
    "row_dtype",
    "rows_from",
    "sample_bytes",
    "samples_from",
    "this_host",
    "to_value",
]
