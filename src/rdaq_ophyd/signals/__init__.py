"""Signals and commands declared as the texts of an instrument's manual, over a link."""

from ._annotations import Ask, Do, Measure, Sample, Tell
from ._backend import INVALID, LinkSignalBackend
from ._channel import Channel
from ._command import LinkCommandBackend
from ._connector import LinkConnector
from ._device import LinkDevice
from ._parse import parse_bool, parse_float, parse_int, parse_str
from ._protocol import LineProtocol
from ._sources import check_value

__all__ = [
    "INVALID",
    "Ask",
    "Channel",
    "Do",
    "LineProtocol",
    "LinkCommandBackend",
    "LinkConnector",
    "LinkDevice",
    "LinkSignalBackend",
    "Measure",
    "Sample",
    "Tell",
    "check_value",
    "parse_bool",
    "parse_float",
    "parse_int",
    "parse_str",
]
