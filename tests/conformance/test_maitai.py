"""The Mai Tai laser, which a stop of everything also switches off here."""

from typing import ClassVar

from labsuites import OverABadLine

from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.sim import SimMaiTai
from rdaq_ophyd.testing import DriverConformance, Emission, Motion


class TestMaiTai(DriverConformance):
    motions: ClassVar = [
        Motion(
            part="wavelength",
            near=802.0,
            far=900.0,
            moving=lambda laser, now: laser.wavelength != laser.commanded,
            goes_on="the head tunes on to the wavelength that it was told",
        )
    ]
    emissions: ClassVar = [
        Emission("shutter", lambda laser, now: laser.shutter),
        Emission("emission", lambda laser, now: laser.emitting),
    ]
    hazards: ClassVar = ["ON", "SHUTter 1"]
    local: ClassVar = ["armed"]
    skip: ClassVar = {"emission": "it wants to be armed anew for each time; tried out as an emission"}

    def simulate(self):
        return SimMaiTai(warm=100.0, emission_lag=0.02, shutter_lag=0.02, tuning=200.0)

    def make(self, link):
        return MaiTai(link, "laser", off_on_stop=True)

    async def prepare(self, device):
        await device.armed.set(True)


class TestMaiTaiThroughFaults(OverABadLine, TestMaiTai):
    pass
