"""Which Basler cameras this process holds: pylon itself lets one process open an emulated camera twice."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from rdaq_ophyd.errors import CameraError


class Holder(Protocol):
    """A driver."""

    label: str


_held: weakref.WeakValueDictionary[str, Holder] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def hold(serial: str, by: Holder) -> None:
    """Keep a camera, by its serial number, until :func:`let_go`.

    :raises CameraError: another driver holds it.
    """
    with _lock:
        holder = _held.setdefault(serial, by)
    if holder is not by:
        raise CameraError(
            f"{by.label}: camera {serial} is in use by {holder.label!r} in this session",
            hint="give each device its own camera, or close the other one",
        )


def let_go(serial: str, by: Holder) -> None:
    """It no longer holds the camera, if it did."""
    with _lock:
        if _held.get(serial) is by:
            del _held[serial]
