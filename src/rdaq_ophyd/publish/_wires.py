"""The publisher for a target; the libraries are imported only where documents are published."""

from __future__ import annotations

import importlib.util
from functools import partial

from rdaq_ophyd.errors import PublishError

from ._publishing import Publishing, Wire
from ._target import KafkaTarget, Target, ZmqTarget

__all__ = ["publish"]


def publish(target: Target) -> Publishing:
    """Begin to publish; subscribe what is returned to a RunEngine, and close it at the end.

    Whether anybody is there is no condition: documents are left out, and counted, until somebody is.

    :raises PublishError: the library for it is not installed, or a key is none.
    """
    library, extra = ("bluesky_kafka", "kafka") if isinstance(target, KafkaTarget) else ("zmq", "zmq")
    if importlib.util.find_spec(library) is None:
        raise PublishError(f"{target}: {library} is not installed", hint=f"pip install 'rdaq-ophyd[{extra}]'")
    if isinstance(target, ZmqTarget):
        from ._zmq import check_keys

        check_keys(target)
    return Publishing(str(target), partial(_opened, target))


def _opened(target: Target) -> Wire:
    if isinstance(target, ZmqTarget):
        from ._zmq import ZmqWire

        return ZmqWire(target)
    from ._kafka import KafkaWire

    return KafkaWire(target)
