"""The client for async code: ``client = await aconnect("127.0.0.1:50100")``.

It has the same methods as :class:`rdaq_ophyd.client.Client`; those that ask the server are awaited, its streams are
iterated over with ``async for``. Whoever is cancelled ends what was begun: a move is stopped, a stream closed. A plan
goes on.
"""

from ._client import AsyncClient, aconnect
from ._device import AsyncDevice, AsyncSignal
from ._runs import AsyncRun
from ._streams import AsyncFrames, AsyncLastingStream
from ._subscription import AsyncSubscription

__all__ = [
    "AsyncClient",
    "AsyncDevice",
    "AsyncFrames",
    "AsyncLastingStream",
    "AsyncRun",
    "AsyncSignal",
    "AsyncSubscription",
    "aconnect",
]
