"""Ports named by the serial number of their USB adapter: ``usb:FT000001``, ``usb:0403:6001:FT000001``.

Such a name stays the same on Linux, macOS and Windows, whatever is plugged in first and into which socket.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from serial.tools import list_ports

from rdaq_ophyd.errors import PortNotFound

from ._port_errors import BY_ID

PREFIX = "usb:"
_FULL = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4}):(.+)", re.IGNORECASE)


class PortInfo(Protocol):
    """What is used of pyserial's ``ListPortInfo``."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None


class UsbName(NamedTuple):
    """A name taken apart; ``vid`` and ``pid`` are None where only the serial number was given."""

    vid: int | None
    pid: int | None
    serial_number: str

    def fits(self, port: PortInfo) -> bool:
        """Whether the port is meant. Windows writes serial numbers in upper case, so case does not count."""
        if port.serial_number is None or port.serial_number.casefold() != self.serial_number.casefold():
            return False
        return self.vid is None or (port.vid, port.pid) == (self.vid, self.pid)


def is_usb(url: str) -> bool:
    """Whether ``url`` names a port by its USB serial number."""
    return url.lower().startswith(PREFIX)


def parse_usb(url: str) -> UsbName:
    """Take ``usb:SERIAL`` or ``usb:VID:PID:SERIAL`` (two times four hexadecimal digits) apart.

    :raises PortNotFound: there is no serial number in it.
    """
    text = url[len(PREFIX) :].strip()
    if not text:
        raise PortNotFound(f"{url!r}: no serial number", hint="write usb:SERIAL or usb:VID:PID:SERIAL")
    if (full := _FULL.fullmatch(text)) is None:
        return UsbName(None, None, text)
    return UsbName(int(full[1], 16), int(full[2], 16), full[3])


def find_usb(url: str, ports: Iterable[PortInfo], stable: Sequence[str] = ()) -> str:
    """The device of the one port among ``ports`` that ``url`` means.

    :param stable: other names that stay the same, for the message.
    :raises PortNotFound: none is meant, or several are; lists what there is.
    """
    name, ports = parse_usb(url), list(ports)
    found = sorted({port.device for port in ports if name.fits(port)})
    if len(found) == 1:
        return found[0]
    also = f"; names that stay the same: {', '.join(stable)}" if stable else ""
    if found:
        raise PortNotFound(
            f"{url}: several ports have this serial number: {', '.join(found)}",
            hint=f"write usb:VID:PID:SERIAL, or another name of the port{also}",
        )
    known = ", ".join(sorted(describe_usb(port) for port in ports)) or "none"
    raise PortNotFound(
        f"{url}: no port has this serial number", hint=f"is the cable plugged in? ports here: {known}{also}"
    )


def describe_usb(port: PortInfo) -> str:
    """A port for messages: device, and its USB name where it has one."""
    return f"{port.device} ({name})" if (name := usb_name(port)) else port.device


def usb_name(port: PortInfo, others: Iterable[PortInfo] = ()) -> str | None:
    """The shortest name that means ``port`` and none of ``others``; None where it has no such name."""
    if not port.serial_number:
        return None
    candidates = [f"{PREFIX}{port.serial_number}"]
    if port.vid is not None and port.pid is not None:
        candidates.append(f"{PREFIX}{port.vid:04x}:{port.pid:04x}:{port.serial_number}")
    rest = [other for other in others if other.device != port.device]
    return next((name for name in candidates if not any(parse_usb(name).fits(o) for o in rest)), None)


def stable_names() -> dict[str, str]:
    """From a port's real path to its name below ``/dev/serial/by-id`` (Linux)."""
    return {os.path.realpath(path): str(path) for path in BY_ID.glob("*")} if BY_ID.is_dir() else {}


def device_of(url: str) -> str:
    """What to open for ``url``: the device that a ``usb:`` name means now, everything else as it is.

    :raises PortNotFound: the name means no port, or several.
    """
    if not is_usb(url):
        return url
    return find_usb(url, list_ports.comports(), sorted(stable_names().values()))
