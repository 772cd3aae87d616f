"""A lamp and a stage as a lab would write them."""

from labsuites import OfLamp, OfStage


class TestLamp(OfLamp):
    pass


class TestStage(OfStage):
    pass
