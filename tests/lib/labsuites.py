"""The suite for the lamp and the stage, and for what is made of them."""

from typing import ClassVar

from labdevices import Lamp, SimLamp, SimStage, Stage

from rdaq_ophyd.testing import DriverConformance, Emission, Motion


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
