"""The 1830-C power meter."""

from typing import ClassVar

from labsuites import OverABadLine

from rdaq_ophyd.devices.newport_1830c import AnalogFilter, Newport1830C
from rdaq_ophyd.sim import SimNewport1830C
from rdaq_ophyd.testing import DriverConformance


class TestNewport1830C(DriverConformance):
    skip: ClassVar = {"zero": "it subtracts the present reading: all further ones change"}
    changing: ClassVar = ["status"]

    def simulate(self):
        return SimNewport1830C(noise=0.0)

    def make(self, link):
        return Newport1830C(link, name="meter")

    async def prepare(self, device):
        await device.filter.set(AnalogFilter.FAST)


class TestNewport1830CThroughFaults(OverABadLine, TestNewport1830C):
    pass
