"""Devices on the same port share one link."""

from __future__ import annotations

import itertools
import os
import threading
from dataclasses import dataclass

from rdaq_ophyd.errors import LinkError, PortNotFound

from ._link import Link
from ._serial import SerialLink, SerialSettings
from ._tcp import TcpLink
from ._usb import device_of, is_usb
from ._visa import SCHEME, VisaLink


@dataclass(eq=False)
class _Entry:
    link: Link
    settings: SerialSettings | None
    users: int = 0


_entries: list[_Entry] = []
_lock = threading.Lock()


def _key(url: str) -> str:
    """Names of one port (``/dev/serial/by-id/…`` is a link to ``/dev/ttyUSB0``) share a key."""
    if is_usb(url):
        try:
            url = device_of(url)
        except PortNotFound:
            return url.casefold()  # unplugged at the moment; opening it says so
    return url if "://" in url else os.path.realpath(url) if os.sep in url else url.upper()


def _find(url: str) -> _Entry | None:
    # Where names lead is looked at each time: plugged in again, the same one may lead to another port.
    key = _key(url)
    same_name = (entry for entry in _entries if entry.link.url == url)
    same_port = (entry for entry in _entries if _key(entry.link.url) == key)
    return next(itertools.chain(same_name, same_port), None)


def make_link(url: str, settings: SerialSettings | None = None) -> Link:
    """A link of its own for ``url``, closed, not shared.

    TCP for ``tcp://host:port``, VISA for ``visa://resource``, else whatever pyserial takes.
    """
    if url.startswith(SCHEME):
        return VisaLink(url, settings)
    return TcpLink(url) if url.startswith("tcp://") else SerialLink(url, settings)


def acquire(url: str, settings: SerialSettings | None = None) -> Link:
    """The link for ``url``, shared with everybody who acquired it; give it back with ``release``.

    :raises LinkError: the port is in use with other settings.
    """
    with _lock:
        entry = _find(url)
        if entry is None:
            entry = _Entry(make_link(url, settings), settings)
            _entries.append(entry)
        elif settings is not None and entry.settings is not None and settings != entry.settings:
            raise LinkError(
                f"{url}: wanted with {settings}, but another device uses it with {entry.settings}",
                hint="give all devices on this port the same line settings, or close the other device first",
            )
        entry.users += 1
        return entry.link


def release(link: Link) -> None:
    """Give back a link got from ``acquire``; the last user closes it. Blocks until the exchange in flight ended."""
    with _lock:
        entry = next((entry for entry in _entries if entry.link is link), None)
        if entry is None:
            return
        entry.users -= 1
        if entry.users > 0:
            return
        _entries.remove(entry)
    link.close()


def open_links() -> tuple[Link, ...]:
    """Every shared link of this process that is open at the moment."""
    with _lock:
        return tuple(entry.link for entry in _entries if entry.link.is_open)


def known_links() -> tuple[Link, ...]:
    """Every shared link of this process, also one whose port is gone at the moment."""
    with _lock:
        return tuple(entry.link for entry in _entries)


def close_all() -> None:
    """Close every shared link, whoever uses it: the end of a session."""
    with _lock:
        links = [entry.link for entry in _entries]
        _entries.clear()
    for link in links:
        link.close()
