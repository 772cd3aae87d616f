"""A rig in another process or on another machine, from there: ``client = connect("127.0.0.1:50100")``.

Needs nothing of the rig's own software: its messages, NumPy and gRPC alone.
"""

from ._client import Client, connect
from ._device import RemoteDevice, RemoteSignal
from ._frames import Frame, Frames
from ._runs import Run, RunFailed
from ._samples import Calibration, SampleBlock, Samples, SampleSchema

__all__ = [
    "Calibration",
    "Client",
    "Frame",
    "Frames",
    "RemoteDevice",
    "RemoteSignal",
    "Run",
    "RunFailed",
    "SampleBlock",
    "SampleSchema",
    "Samples",
    "connect",
]
