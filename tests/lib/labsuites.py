"""The suite for the lamp and the stage, and for what is made of them."""

from dataclasses import replace
from typing import ClassVar

from labdevices import Lamp, SimLamp, SimStage, Stage

from rdaq_ophyd.link import FaultyLink
from rdaq_ophyd.testing import DriverConformance, Emission, Motion
from rdaq_ophyd.testing._describing import DescribeTests
from rdaq_ophyd.testing._faults import FaultTests
from rdaq_ophyd.testing._mocking import MockTests
from rdaq_ophyd.testing._reconnecting import ReconnectTests
from rdaq_ophyd.testing._suite import quick_link

#: Seconds in which a reply is still awaited after its time-out.
LATE = 0.05


class OverABadLine:
    """For suites whose device is on a link of its own: replies come late, in parts and twice, which that link hides."""

    def open_link(self, url):
        patient = replace(self.make(url).protocol, timeout=5.0)
        return FaultyLink(quick_link(url, patient, late=LATE), seed=7, split=0.5, duplicate=0.3, delay=(0.0, 0.001))


#: Tests of what happens before a byte is sent.
SILENT = (
    "test_names_follow_the_device",
    "test_parts_of_a_kind_ask_for_different_things",
    "test_sources_name_the_port",
    "test_a_port_that_is_not_there",
    "test_closed_and_connected_again",
    "test_stop_is_declared",
    "test_limits_are_kept",
    "test_what_is_no_number_is_refused",
    "test_a_text_stays_one_command",
    "test_arguments_stay_one_command",
    "test_targets_that_are_no_numbers_are_refused",
)
# Not once more: these, and tests that choose their link themselves, or need none.
elsewhere = [test for group in (DescribeTests, FaultTests, MockTests, ReconnectTests) for test in vars(group)]
for test in (*SILENT, *elsewhere):
    if test.startswith("test_"):
        setattr(OverABadLine, test, None)


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
