"""The ESP300 controller with its axes, and an axis as a device of its own."""

from dataclasses import replace
from typing import ClassVar

from hypothesis import strategies as st
from labsuites import OverABadLine

from rdaq_ophyd.devices.esp300 import AxisUnits, Esp300, Esp300Axis
from rdaq_ophyd.sim import SimEsp300
from rdaq_ophyd.testing import DriverConformance, Motion

#: A controller shows the position of a stage in units of its own kind only.
LENGTHS = st.sampled_from([AxisUnits.MILLIMETRE, AxisUnits.MICROMETRE, AxisUnits.INCH])
ANGLES = st.sampled_from([AxisUnits.DEGREE, AxisUnits.GRADIAN, AxisUnits.MILLIRADIAN])


def moving(number: int):
    """Whether an axis of the simulated controller moves."""
    return lambda controller, now: controller.axes[number].done_at() > now


class TestEsp300Axis(DriverConformance):
    motions: ClassVar = [Motion(near=0.05, far=8.0, moving=moving(1))]
    hazards: ClassVar = [r"\d?(OR|MV|MT|PR|DH).*[^?]"]
    values: ClassVar = {"unit": LENGTHS}

    def simulate(self):
        return SimEsp300(speed=2.0)

    def twin(self):
        other = SimEsp300()
        other.axes[1].stage = replace(other.axes[1].stage, serial="9999")
        return other

    def make(self, link):
        return Esp300Axis(link, 1, "x")

    async def prepare(self, device):
        await device.enabled.set(True)


class TestEsp300AxisThroughFaults(OverABadLine, TestEsp300Axis):
    pass


class TestEsp300(DriverConformance):
    motions: ClassVar = [
        Motion(part="x", near=0.05, far=8.0, moving=moving(1)),
        Motion(part="theta", near=0.2, far=40.0, moving=moving(3)),
    ]
    hazards: ClassVar = [r"\d?(OR|MV|MT|PR|DH).*[^?]"]
    values: ClassVar = {"x.unit": LENGTHS, "theta.unit": ANGLES}

    def simulate(self):
        return SimEsp300(speed=2.0)

    def twin(self):
        other = SimEsp300()
        other.axes[3].stage = replace(other.axes[3].stage, serial="9999")
        return other

    def make(self, link):
        return Esp300(link, {1: "x", 3: "theta"}, "stage")

    async def prepare(self, device):
        await device.x.enabled.set(True)
        await device.theta.enabled.set(True)


class TestEsp300ThroughFaults(OverABadLine, TestEsp300):
    pass
