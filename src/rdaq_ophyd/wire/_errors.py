"""Errors that cross the wire: kind, what and hint, and on the other side the same exception."""

from __future__ import annotations

from rdaq_ophyd import errors
from rdaq_ophyd.errors import RdaqError

from . import daq_pb2

ERROR_KEY = "rdaq-error-bin"
"""Key in the trailing metadata of a call that failed."""


def error_message(error: BaseException) -> daq_pb2.Error:
    """What a client needs to raise the same."""
    if isinstance(error, RdaqError):
        return daq_pb2.Error(kind=type(error).__name__, what=error.what, hint=error.hint, about=error.about)
    return daq_pb2.Error(kind="", what=f"{type(error).__name__}: {error}")


def error_from(message: daq_pb2.Error) -> RdaqError:
    """The exception; a plain ``RdaqError`` where its class is not known here."""
    kind = getattr(errors, message.kind, None) if message.kind else None
    cls = kind if isinstance(kind, type) and issubclass(kind, RdaqError) else RdaqError
    found = cls.__new__(cls)
    RdaqError.__init__(found, message.what, hint=message.hint)  # some classes are made from more than that
    found.about = message.about
    return found
