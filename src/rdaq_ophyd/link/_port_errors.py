"""From what the operating system says about a port to what its user can do about it."""

from __future__ import annotations

import errno
from pathlib import Path

import serial
from serial.tools import list_ports

from rdaq_ophyd.errors import LinkClosed, LinkError, PortBusy, PortNotFound, PortNotPermitted

BY_ID = Path("/dev/serial/by-id")
"""Names that stay with an adapter wherever it is plugged in (Linux)."""

_BUSY = {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}
_ABSENT = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR, errno.ECONNREFUSED, errno.EHOSTUNREACH}
_FORBIDDEN = {errno.EACCES, errno.EPERM}


def existing_ports() -> list[str]:
    """Names of the serial ports of this machine, those that stay the same when replugged first."""
    by_id = sorted(str(path) for path in BY_ID.glob("*")) if BY_ID.is_dir() else []
    return by_id + sorted(port.device for port in list_ports.comports())


def _number(error: BaseException) -> int | None:
    """The errno of an error or of what caused it (pyserial's URL handlers keep it only in the context)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and isinstance(seen.errno, int):
            return seen.errno
        seen = seen.__cause__ or seen.__context__
    return None


def opening_failed(url: str, error: Exception) -> LinkError:
    """The error for a port that could not be opened."""
    number, text = _number(error), str(error)
    if number in _BUSY or "PermissionError(13" in text:  # the second is how Windows says that a port is in use
        return PortBusy(
            f"{url}: another process holds this port",
            hint="close the other session or program that uses it (Linux: `fuser -v PORT` names it)",
        )
    if number in _FORBIDDEN:
        return PortNotPermitted(
            f"{url}: you may not open this port",
            hint="Linux: `sudo usermod -aG dialout $USER`, then log out and in again",
        )
    if number in _ABSENT or "FileNotFoundError" in text:
        return _not_found(url, error)
    return PortNotFound(f"{url}: cannot be opened: {error}", hint="check the spelling of the port or address")


def _not_found(url: str, error: Exception) -> PortNotFound:
    if "://" in url:
        return PortNotFound(f"{url}: nobody listens there ({error})", hint="is the instrument or its server running?")
    ports = existing_ports()
    known = "ports of this machine: " + ", ".join(ports) if ports else "this machine has no serial port right now"
    return PortNotFound(f"{url}: there is no such port", hint=f"{known}; is the cable plugged in?")


def vanished(url: str, error: Exception) -> LinkClosed:
    """The error for a port that stopped working while it was open."""
    reason = "a write did not finish" if isinstance(error, serial.SerialTimeoutException) else str(error)
    return LinkClosed(f"{url}: the port stopped working ({reason})", hint="check the cable, then connect again")
