"""An axis counted from a calibrated zero: moved by it, the controller keeps every rule about what moves.

Such a device has no line of its own, so that it is tested as a part of the one whose axis it moves.
"""

from typing import ClassVar

from rdaq_ophyd.devices.calibrated import CalibratedAxis
from rdaq_ophyd.devices.calibration import Calibration
from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.sim import SimEsp300
from rdaq_ophyd.testing import Motion
from rdaq_ophyd.testing._cancelling import CancelTests
from rdaq_ophyd.testing._latching import LatchTests
from rdaq_ophyd.testing._mocking import MockTests
from rdaq_ophyd.testing._reconnecting import ReconnectTests
from rdaq_ophyd.testing._running import RunTests
from rdaq_ophyd.testing._setting import SettingTests
from rdaq_ophyd.testing._stopping import StopTests


class WithEdge(Esp300):
    """A controller whose first axis is also counted from an edge at 1 mm, in micrometres."""

    def __init__(self, link, axes, name):
        super().__init__(link, axes, name)
        calibration = Calibration("calibration")
        calibration.add("zero", 1.0, units="mm")
        calibration.add("scale", -1000.0, units="um/mm")
        self.edge = CalibratedAxis(self.x, calibration, zero="zero", scale="scale", units="um", name=f"{name}-edge")


class TestCalibratedAxis(CancelTests, ReconnectTests, LatchTests, MockTests, RunTests, StopTests):
    motions: ClassVar = [
        Motion(
            part="edge",
            near=950.0,
            far=-7000.0,
            moving=lambda controller, now: controller.axes[1].done_at() > now,
            tolerance=10.0,
        )
    ]
    hazards: ClassVar = [r"\d?(OR|MV|MT|PR|DH).*[^?]"]

    def simulate(self):
        return SimEsp300(speed=2.0)

    def make(self, link):
        return WithEdge(link, {1: "x"}, "stage")

    # These have nothing to do with the axis; they are tested with the controller.
    test_a_cancelled_reading_leaves_nothing_behind = None
    test_a_cancelled_setting_leaves_nothing_behind = None
    test_targets_that_are_no_numbers_are_refused = SettingTests.test_targets_that_are_no_numbers_are_refused

    async def prepare(self, device):
        await device.x.enabled.set(True)
