"""Which ports may be asked, and under which name a profile should know them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

from serial.tools import list_ports

from rdaq_ophyd.link import is_usb, stable_names, usb_name


def candidates(excluded: Collection[str] = (), ports: Iterable[Any] | None = None) -> list[str]:
    """The ports of USB adapters, whose devices can be anything that was plugged in on purpose.

    Built-in ports, Bluetooth and the like are asked only when they are named.

    :param excluded: names of ports that must not be asked, under any of their names.
    :param ports: as ``serial.tools.list_ports`` lists them; those of this machine unless given.
    """
    found = list(list_ports.comports() if ports is None else ports)
    barred = {os.path.realpath(name) for name in excluded} | {name.casefold() for name in excluded if is_usb(name)}
    return sorted(
        port.device
        for port in found
        if port.vid is not None
        and os.path.realpath(port.device) not in barred
        and port.device not in excluded
        and (usb_name(port) or port.device).casefold() not in barred
    )


def stable_name(url: str, ports: Iterable[Any] | None = None) -> str:
    """The name of a port that stays the same: by its USB serial number, below ``/dev/serial/by-id``, or as it is."""
    if "://" in url or is_usb(url):
        return url
    found = list(list_ports.comports() if ports is None else ports)
    here = next((port for port in found if os.path.realpath(port.device) == os.path.realpath(url)), None)
    by_usb = None if here is None else usb_name(here, found)
    # A relative path means something to the directory only from which it was typed.
    as_typed = os.path.abspath(url) if os.path.exists(url) else url
    return by_usb or stable_names().get(os.path.realpath(url)) or as_typed
