"""What was heard is told apart: questions, settings, what is dangerous, and what makes safe."""

from collections.abc import Iterator
from contextlib import contextmanager

from labdevices import Lamp, SimLamp, SimStage, Stage

from rdaq_ophyd.sim import Instrument, Record, serve_tcp
from rdaq_ophyd.testing._members import settings
from rdaq_ophyd.testing._wire import Wire


@contextmanager
def heard(instrument: Instrument, device, hazards: tuple[str, ...], lines: bytes) -> Iterator[Wire]:
    """A wire on which ``lines`` were heard."""
    with serve_tcp(instrument, lift_baud=True) as port:
        port.log.write([Record(0, "rx", lines)])
        yield Wire(port, device, hazards)


def test_light_is_dangerous_and_darkness_is_not():
    with heard(SimLamp(), Lamp("x", name="lamp"), (), b"PW?\r\nON\r\nST?\r\nOF\r\nPW12.5\r\n") as wire:
        assert wire.unsafe(0) == ["ON", "PW12.5"]


def test_a_setting_that_may_be_restored_is_unsafe_but_no_hazard():
    with heard(SimStage(), Stage("x", name="stage"), ("MV.*",), b"SP12.00\r\nMV1.0\r\nST\r\nSP?\r\n") as wire:
        assert set(wire.unsafe(0)) == {"SP12.00", "MV1.0"}
        assert wire.hazards(0) == ["MV1.0"]


def test_what_writes_one_setting():
    lamp = Lamp("x", name="lamp")
    with heard(SimLamp(), lamp, (), b"PW1.0\r\nON\r\nOF\r\n") as wire:
        power, on = settings(lamp)
        assert (power.path, on.path) == ("power", "on")
        assert wire.writes(0, power) == ["PW1.0"]
        assert wire.writes(0, on) == ["ON"]
        assert wire.lines(len(b"PW1.0\r\n")) == ["ON", "OF"]
