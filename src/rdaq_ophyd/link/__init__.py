"""Bytes to an instrument: one owner thread a port, three lanes, preempting writes; serial and TCP."""

from ._framing import Fixed, Framing, Line
from ._lane import Lane
from ._link import Link
from ._port_errors import existing_ports
from ._registry import acquire, close_all, make_link, open_links, release
from ._safety import LinkSafety
from ._serial import SerialLink, SerialSettings
from ._tcp import TcpLink
from ._transaction import Exchange
from ._wait import readable, writable

__all__ = [
    "Exchange",
    "Fixed",
    "Framing",
    "Lane",
    "Line",
    "Link",
    "LinkSafety",
    "SerialLink",
    "SerialSettings",
    "TcpLink",
    "acquire",
    "close_all",
    "existing_ports",
    "make_link",
    "open_links",
    "readable",
    "release",
    "writable",
]
