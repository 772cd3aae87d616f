"""The instruments that are declared in files: those that come with the package, and a stage with every kind of move."""

from typing import ClassVar

from declaredstage import MOVED
from labsuites import OverABadLine

from rdaq_ophyd.declaration import parse
from rdaq_ophyd.testing import declared_suite

Keithley2450 = declared_suite("keithley_2450")
Lakeshore336 = declared_suite("lakeshore_336")
RedPitaya = declared_suite("red_pitaya")
Stage = declared_suite(parse(MOVED))


class TestKeithley2450(Keithley2450):
    pass


class TestKeithley2450ThroughFaults(OverABadLine, Keithley2450):
    pass


class TestLakeshore336(Lakeshore336):
    pass


class TestLakeshore336ThroughFaults(OverABadLine, Lakeshore336):
    pass


class TestRedPitaya(RedPitaya):
    pass


class TestRedPitayaThroughFaults(OverABadLine, RedPitaya):
    pass


class TestStage(Stage):
    hazards: ClassVar = [r"1N.*", "1XX"]
    skip: ClassVar = {"word": "it cannot be asked for, and the empty one that it begins with is not understood"}


class TestStageThroughFaults(OverABadLine, TestStage):
    pass
