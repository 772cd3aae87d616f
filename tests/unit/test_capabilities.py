from pathlib import Path

import pytest
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, soft_signal_rw
from ophyd_async.sim import PatternGenerator, SimBlobDetector, SimMotor

from rdaq_ophyd.capabilities import (
    PROTOCOLS,
    Capability,
    EmissionControl,
    ExposureControl,
    ShutterControl,
    StopCapability,
    StopMeans,
    StopsHonestly,
    WavelengthTunable,
    capabilities,
    describe,
    stop_capability,
)
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.devices.sim_analog import SimAnalogInput

C = Capability


def test_every_name_has_its_protocol():
    assert list(PROTOCOLS) == list(Capability)


def test_our_axis():
    axis = Esp300Axis("/dev/x", 1, "x")
    assert {C.READABLE, C.MOVABLE, C.LOCATABLE, C.CHECKABLE, C.HOMABLE, C.STOPPABLE, C.HALTABLE} <= capabilities(axis)
    assert not {C.FRAME_PRODUCER, C.TRIGGERABLE, C.SHUTTER_CONTROL, C.PAUSABLE} & capabilities(axis)
    assert isinstance(axis, StopsHonestly)
    assert stop_capability(axis).means is StopMeans.PREEMPTS
    assert describe(axis).startswith("readable, movable, locatable")
    assert "stop: preempts within" in describe(axis)


def test_our_controller_and_meter():
    controller = Esp300("/dev/x", {1: "x"}, "esp")
    assert {C.STOPPABLE, C.HALTABLE, C.READABLE} <= capabilities(controller)
    assert C.MOVABLE not in capabilities(controller)
    meter = Newport1830C("/dev/x", name="pm")
    assert {C.READABLE, C.TRIGGERABLE, C.WAVELENGTH_TUNABLE, C.CONFIGURABLE} <= capabilities(meter)
    assert isinstance(meter, StopsHonestly)
    assert "stop: software (nothing is sent" in describe(meter)


def test_devices_of_ophyd_async(tmp_path: Path):
    motor = SimMotor("m")
    assert {C.READABLE, C.MOVABLE, C.LOCATABLE, C.STOPPABLE, C.SUBSCRIBABLE} <= capabilities(motor)
    assert stop_capability(motor) == StopCapability(StopMeans.SOFTWARE, None, "not declared by the device")
    paths = StaticPathProvider(StaticFilenameProvider("f"), tmp_path)
    detector = SimBlobDetector(paths, PatternGenerator(), name="d")
    assert {C.FRAME_PRODUCER, C.TRIGGERABLE, C.PREPARABLE, C.FLYABLE, C.STAGEABLE} <= capabilities(detector)
    assert C.MOVABLE not in capabilities(detector)
    assert {C.READABLE, C.MOVABLE} <= capabilities(soft_signal_rw(float))


def test_a_plain_bluesky_object_and_structural_capabilities():
    class Laser:
        name, parent = "laser", None

        def __init__(self):
            self.wavelength = self.shutter = self.emission = self.exposure = soft_signal_rw(float)

        def read(self): ...
        def describe(self): ...
        def pause(self): ...
        def resume(self): ...

    laser = Laser()
    for protocol in (WavelengthTunable, ShutterControl, EmissionControl, ExposureControl):
        assert isinstance(laser, protocol)
    assert capabilities(laser) == {
        C.READABLE, C.PAUSABLE, C.WAVELENGTH_TUNABLE, C.SHUTTER_CONTROL, C.EMISSION_CONTROL, C.EXPOSURE_CONTROL,
    }  # fmt: skip


@pytest.mark.parametrize("thing", [object(), 5, None, Esp300Axis])
def test_what_can_do_nothing(thing: object):
    assert capabilities(thing) == frozenset()
    assert describe(thing) == "nothing known"


def test_stop_capabilities_read_as_sentences():
    assert str(StopCapability(StopMeans.BETWEEN_MOVES)) == "between moves"
    assert str(StopCapability(StopMeans.URGENT_LANE, 0.02, "a note")) == "urgent lane within 20 ms (a note)"
    assert stop_capability(Esp300Axis).means is StopMeans.PREEMPTS


def test_who_takes_blocks(tmp_path: Path):
    paths = StaticPathProvider(StaticFilenameProvider("f"), tmp_path)
    adc = SimAnalogInput(paths, "adc")
    assert {C.BLOCK_PRODUCER, C.TRIGGERABLE, C.FLYABLE, C.PAUSABLE, C.STOPPABLE} <= capabilities(adc)
    assert isinstance(adc, StopsHonestly)
    assert C.BLOCK_PRODUCER not in capabilities(SimBlobDetector(paths, PatternGenerator(), name="d"))
