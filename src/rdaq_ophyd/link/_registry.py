"""Devices on the same port share one link."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from rdaq_ophyd.errors import LinkError

from ._link import Link
from ._serial import SerialLink, SerialSettings
from ._tcp import TcpLink


@dataclass
class _Entry:
    link: Link
    settings: SerialSettings | None
    users: int = 0


_entries: dict[str, _Entry] = {}
_lock = threading.Lock()


def _key(url: str) -> str:
    """Names of one port (``/dev/serial/by-id/…`` is a link to ``/dev/ttyUSB0``) share a key."""
    return url if "://" in url else os.path.realpath(url) if os.sep in url else url.upper()


def make_link(url: str, settings: SerialSettings | None = None) -> Link:
    """A link of its own for ``url``, closed, not shared: TCP for ``tcp://host:port``, else whatever pyserial takes."""
    return TcpLink(url) if url.startswith("tcp://") else SerialLink(url, settings)


def acquire(url: str, settings: SerialSettings | None = None) -> Link:
    """The link for ``url``, shared with everybody who acquired it; give it back with ``release``.

    :raises LinkError: the port is in use with other settings.
    """
    with _lock:
        entry = _entries.get(key := _key(url))
        if entry is None:
            entry = _entries[key] = _Entry(make_link(url, settings), settings)
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
        found = next(((key, entry) for key, entry in _entries.items() if entry.link is link), None)
        if found is None:
            return
        key, entry = found
        entry.users -= 1
        if entry.users > 0:
            return
        del _entries[key]
    link.close()


def open_links() -> tuple[Link, ...]:
    """Every shared link of this process that is open at the moment."""
    with _lock:
        return tuple(entry.link for entry in _entries.values() if entry.link.is_open)


def close_all() -> None:
    """Close every shared link, whoever uses it: the end of a session."""
    with _lock:
        links = [entry.link for entry in _entries.values()]
        _entries.clear()
    for link in links:
        link.close()
