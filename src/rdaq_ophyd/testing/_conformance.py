"""The suite that a driver's author runs."""

from __future__ import annotations

from ._cancelling import CancelTests
from ._connecting import ConnectTests
from ._describing import DescribeTests
from ._faults import FaultTests
from ._latching import LatchTests
from ._mocking import MockTests
from ._reconnecting import ReconnectTests
from ._running import RunTests
from ._setting import SettingTests
from ._stopping import StopTests


class DriverConformance(
    ConnectTests,
    DescribeTests,
    SettingTests,
    StopTests,
    CancelTests,
    FaultTests,
    ReconnectTests,
    LatchTests,
    MockTests,
    RunTests,
):
    """The tests that every driver on a link has to pass, against its simulated instrument on a real port.

    Subclass it in a test file, with a name that pytest collects (``TestLamp``), and give it ``simulate`` and ``make``;
    a device that moves or emits needs ``motions`` or ``emissions`` too. Tests of what a driver has not skip
    themselves and say why; a test whose hint is missing fails and says which.
    """
