"""ELL14 rotators: one on its own, in one piece and in segments, and the bus with two of them."""

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from labsuites import OverABadLine

from rdaq_ophyd.devices.ell14 import Ell14, Ell14Bus
from rdaq_ophyd.sim import Rotator, SimEll14
from rdaq_ophyd.testing import DriverConformance, Motion

#: What starts a motion, at any address.
MOTIONS: list[str] = ["[0-9A-F](ma|mr|ho|fw|bw|s1|s2|om|cm).*"]


def turning(address: str):
    """Whether a simulated mount turns."""
    return lambda bus, now: bus.rotators[address].done_at() > now


#: Angles that the device can keep: those of an ELL14 are counted in 143 360 pulses a turn.
WHOLE_PULSES = st.integers(0, 143_360).map(lambda count: count / 143_360 * 360)


class LinearStage(Rotator):
    """An Elliptec device of another kind: an ELL17, 28 mm."""

    def information(self):
        return "IN11" + super().information()[4:20] + "001C00000400"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """What an earlier program left unfinished is no matter here: a silent bus is asked again at once."""
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_rotator.PACKET_GAP", 0.01)


class TestEll14(DriverConformance):
    motions: ClassVar = [Motion(near=2.0, far=250.0, moving=turning("3"), tolerance=0.1)]
    hazards: ClassVar = MOTIONS
    values: ClassVar = {"jog_step": WHOLE_PULSES, "home_offset": WHOLE_PULSES}

    def impostors(self):
        return [SimEll14({"3": LinearStage()})]

    def simulate(self):
        return SimEll14({"3": Rotator("11400517")})

    def twin(self):
        return SimEll14({"3": Rotator("11400518")})

    def make(self, link):
        return Ell14(link, "3", "polariser")


class TestEll14InSegments(TestEll14):
    def make(self, link):
        return Ell14(link, "3", "polariser", segment=45.0, limits=(-10.0, 400.0))


class TestEll14ThroughFaults(OverABadLine, TestEll14):
    pass


class TestEll14Bus(DriverConformance):
    motions: ClassVar = [
        Motion(part="polariser", near=2.0, far=250.0, moving=turning("0"), tolerance=0.1),
        Motion(part="analyser", near=2.0, far=250.0, moving=turning("A"), tolerance=0.1),
    ]
    hazards: ClassVar = MOTIONS
    values: ClassVar = {
        f"{rotator}.{setting}": WHOLE_PULSES
        for rotator in ("polariser", "analyser")
        for setting in ("jog_step", "home_offset")
    }

    def impostors(self):
        return [SimEll14({"0": LinearStage(), "A": LinearStage()})]

    def simulate(self):
        return SimEll14({"0": Rotator("11400517"), "A": Rotator("11400520")})

    def twin(self):
        return SimEll14({"0": Rotator("11400517"), "A": Rotator("11400521")})

    def make(self, link):
        return Ell14Bus(link, {"0": "polariser", "A": "analyser"}, "bus")


class TestEll14BusThroughFaults(OverABadLine, TestEll14Bus):
    pass
