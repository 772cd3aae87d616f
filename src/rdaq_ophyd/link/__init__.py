"""Bytes to an instrument: one owner thread a port, three lanes, preempting writes; serial, TCP and VISA."""

from typing import TYPE_CHECKING

from rdaq_ophyd._later import later

from . import _answers as _answers  # answers other processes
from ._framing import Fixed, Framing, Line
from ._lane import Lane
from ._link import Link
from ._port_errors import existing_ports
from ._registry import acquire, close_all, known_links, make_link, open_links, release
from ._safety import LinkSafety
from ._serial import SerialLink, SerialSettings
from ._state import LinkState
from ._statistics import ROUND_TRIPS, LinkStatistics
from ._tcp import TcpLink
from ._trace import TraceEntry
from ._transaction import Exchange
from ._usb import find_usb, is_usb, stable_names, usb_name
from ._visa import VisaLink, is_stream
from ._wait import readable, writable, write_all

if TYPE_CHECKING:
    from ._faulty import FaultyLink
else:
    # For tests alone.
    __getattr__ = later(__name__, FaultyLink="_faulty")

__all__ = [
    "ROUND_TRIPS",
    "Exchange",
    "FaultyLink",
    "Fixed",
    "Framing",
    "Lane",
    "Line",
    "Link",
    "LinkSafety",
    "LinkState",
    "LinkStatistics",
    "SerialLink",
    "SerialSettings",
    "TcpLink",
    "TraceEntry",
    "VisaLink",
    "acquire",
    "close_all",
    "existing_ports",
    "find_usb",
    "is_stream",
    "is_usb",
    "known_links",
    "make_link",
    "open_links",
    "readable",
    "release",
    "stable_names",
    "usb_name",
    "writable",
    "write_all",
]
