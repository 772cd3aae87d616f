"""A lamp and a stage as a lab would write them; the lamp behind a serial device server."""

from labdevices import InSteps
from labsuites import OfLamp, OfStage

from rdaq_ophyd.sim import serve_tcp


class TestLamp(OfLamp):
    def serve(self, instrument, folder):
        return serve_tcp(instrument, lift_baud=True)


class TestStage(OfStage):
    pass


class TestStageInSteps(OfStage):
    Driver = InSteps
