"""Signals and commands declared as the texts of an instrument's manual, over a link."""

from ._annotations import Ask, Do, Measure, Sample, Tell
from ._backend import LinkSignalBackend
from ._channel import Channel, WriteChecker
from ._check import check_limits, check_value, tighter
from ._command import LinkCommandBackend
from ._connection import Connection
from ._connector import LinkConnector
from ._device import LinkDevice
from ._link_view import ConnectionState, Statistic
from ._parse import parse_bool, parse_float, parse_int, parse_str
from ._poller import INVALID
from ._protocol import LineProtocol
from ._typed import typed

__all__ = [
    "INVALID",
    "Ask",
    "Channel",
    "Connection",
    "ConnectionState",
    "Do",
    "LineProtocol",
    "LinkCommandBackend",
    "LinkConnector",
    "LinkDevice",
    "LinkSignalBackend",
    "Measure",
    "Sample",
    "Statistic",
    "Tell",
    "WriteChecker",
    "check_limits",
    "check_value",
    "parse_bool",
    "parse_float",
    "parse_int",
    "parse_str",
    "tighter",
    "typed",
]
