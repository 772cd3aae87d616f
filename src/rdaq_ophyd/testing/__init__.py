"""Tests that every driver has to pass, for those who write drivers: subclass :class:`DriverConformance`.

Needs the extra ``testing`` (pytest and hypothesis).
"""

from ._bench import Bench
from ._conformance import DriverConformance
from ._declared import DeclaredConformance, declared_suite
from ._hints import Emission, Motion
from ._impostors import Impostor, Loopback

__all__ = [
    "Bench",
    "DeclaredConformance",
    "DriverConformance",
    "Emission",
    "Impostor",
    "Loopback",
    "Motion",
    "declared_suite",
]
