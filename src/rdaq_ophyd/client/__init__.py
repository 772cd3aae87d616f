"""A rig in another process or on another machine, from there: ``client = connect("127.0.0.1:50100")``.

Needs nothing of the rig's own software: its messages, NumPy and gRPC alone. In async code: ``await aconnect(…)`` gives
the same client, whose methods are awaited.
"""

from rdaq_ophyd.progress import Bars, Progress

from ._client import Client, connect
from ._device import RemoteDevice, RemoteSignal
from ._facts import Calibrated, Location, Session, Suspender
from ._frames import Frame
from ._gap import Gap
from ._names import Devices
from ._runs import Run, RunFailed
from ._samples import Calibration, SampleBlock, SampleSchema
from ._streams import Frames, LastingStream, Samples
from ._subscription import Subscription
from .aio import AsyncClient, aconnect

__all__ = [
    "AsyncClient",
    "Bars",
    "Calibrated",
    "Calibration",
    "Client",
    "Devices",
    "Frame",
    "Frames",
    "Gap",
    "LastingStream",
    "Location",
    "Progress",
    "RemoteDevice",
    "RemoteSignal",
    "Run",
    "RunFailed",
    "SampleBlock",
    "SampleSchema",
    "Samples",
    "Session",
    "Subscription",
    "Suspender",
    "aconnect",
    "connect",
]
