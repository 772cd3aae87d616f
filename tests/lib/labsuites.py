"""The suite for the lamp and the stage, and for what is made of them."""

from typing import ClassVar

from labdevices import Lamp, SimLamp, SimStage, Stage

from rdaq_ophyd.link import FaultyLink, SerialLink
from rdaq_ophyd.testing import DriverConformance, Emission, Motion

#: Seconds in which a reply is still awaited after its time-out.
LATE = 0.05


def over_a_bad_line(driver):
    """An ``open_link`` of a suite: replies come late, in parts and twice, which a link hides from its device."""

    def open_link(self, url):
        protocol = driver.protocol
        inner = SerialLink(url, protocol.serial, reply=protocol.reply, timeout=5.0, late=LATE, quiet=0.005)
        return FaultyLink(inner, seed=7, split=0.5, duplicate=0.3, delay=(0.0, 0.001))

    return open_link


class OfLamp(DriverConformance):
    emissions: ClassVar = [Emission("on", lambda lamp, now: lamp.on)]
    Driver: ClassVar = Lamp

    def simulate(self):
        return SimLamp()

    def make(self, link):
        return self.Driver(link, name="lamp")


class OfStage(DriverConformance):
    motions: ClassVar = [Motion(near=0.2, far=30.0, moving=lambda stage, now: stage.moving(now))]
    hazards: ClassVar = ["MV.*"]
    Driver: ClassVar = Stage

    def simulate(self):
        return SimStage()

    def twin(self):
        return SimStage(serial=43)

    def make(self, link):
        return self.Driver(link, name="stage")
