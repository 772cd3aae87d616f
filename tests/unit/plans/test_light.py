"""Stubs that take a capability: light goes on once and off always, for devices that no plan was written for."""

from __future__ import annotations

from types import SimpleNamespace

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from ophyd_async.core import Device, soft_signal_rw
from softlaser import Position, SoftMeter, TunableLaser

from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.plans import (
    close_shutter,
    expose,
    open_shutter,
    set_wavelength,
    wavelength_sweep,
    with_emission,
    with_light,
)
from rdaq_ophyd.plans._light import darkness
from rdaq_ophyd.plans._scan import scan, step
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop


@pytest.fixture(scope="module")
def made():
    log: list[str] = []
    rig = Rig("soft")

    @rig.device
    def laser() -> TunableLaser:
        return TunableLaser("laser", log)

    @rig.device
    def meter(laser: TunableLaser) -> SoftMeter:
        return SoftMeter("meter", laser)

    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=rig.devices.values, person=False)
    rig.build()
    call_in_bluesky_event_loop(rig.connect(), timeout=20)
    with RE.plan_end:
        yield SimpleNamespace(RE=RE, log=log, rig=rig, laser=rig["laser"], meter=rig["meter"])
    call_in_bluesky_event_loop(rig.disconnect(), timeout=20)
    stop_loop(RE)


@pytest.fixture
def bench(made):
    made.laser.emission.on = made.laser.shutter.on = made.laser.armed.on = False
    made.laser.emission.deaf = made.meter.fails = False
    made.log.clear()
    yield made
    if made.RE.state == "paused":
        made.RE.abort()
    assert not made.laser.emission.on
    assert not made.laser.shutter.on


def note(log, text):
    yield from bps.null()
    log.append(text)
    return text


LIT = ["armed on", "emission on", "inner", "emission off"]


def test_emission_is_armed_switched_on_and_always_off(bench):
    result = bench.RE(with_emission(bench.laser, note(bench.log, "inner")))
    assert result.plan_result == "inner"
    assert bench.log == LIT


def test_a_plan_may_be_made_when_its_time_comes(bench):
    bench.RE(open_shutter(bench.laser, lambda: note(bench.log, "inner")))
    assert bench.log == ["shutter on", "inner", "shutter off"]


@pytest.mark.parametrize("wrapper", [open_shutter, with_emission])
def test_a_plan_that_fails_leaves_darkness(bench, wrapper):
    def fails():
        yield from bps.null()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.RE(wrapper(bench.laser, fails()))
    assert bench.log[-1].endswith(" off")


def test_a_failure_within_a_bundle_closes_too(bench):
    def half_an_event():
        yield from bps.open_run()
        yield from bps.create()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.RE(open_shutter(bench.laser, half_an_event()))
    assert bench.log == ["shutter on", "shutter off"]


def test_what_does_not_come_on_is_switched_off_and_named(bench):
    bench.laser.emission.deaf = True
    with pytest.raises(RdaqError, match="laser-emission is not on"):
        bench.RE(with_emission(bench.laser, note(bench.log, "inner")))
    assert bench.log == ["armed on", "emission on", "emission off"]


def test_a_resume_repeats_neither_emission_nor_shutter(bench):
    plan = with_emission(bench.laser, open_shutter(bench.laser, paused_count(bench.meter)))
    with pytest.raises(RunEngineInterrupted):
        bench.RE(plan)
    assert bench.laser.emission.on
    assert bench.laser.shutter.on
    assert bench.RE.resume().exit_status == "success"
    assert bench.log.count("emission on") == bench.log.count("shutter on") == bench.log.count("armed on") == 1
    assert bench.log[-2:] == ["shutter off", "emission off"]


def test_an_abort_of_a_paused_plan_leaves_darkness(bench):
    with pytest.raises(RunEngineInterrupted):
        bench.RE(with_emission(bench.laser, paused_count(bench.meter)))
    assert bench.laser.emission.on
    bench.RE.abort("enough")
    assert bench.log[-1] == "emission off"


def paused_count(meter):
    yield from bps.open_run()
    for number in range(3):
        if number == 1:
            yield from bps.pause()
        yield from bps.one_shot([meter])
    yield from bps.close_run()


def test_a_shutter_that_speaks_in_words(bench):
    class Gate(Device):
        def __init__(self, first):
            self.shutter = soft_signal_rw(type(first), first)
            super().__init__(name="gate")

    gate = Gate(Position.CLOSED)
    call_in_bluesky_event_loop(gate.connect(), timeout=10)
    seen = []

    def look():
        seen.append((yield from bps.rd(gate.shutter)))

    bench.RE(open_shutter(gate, look()))
    assert seen == [Position.OPEN]
    assert call_in_bluesky_event_loop(gate.shutter.get_value()) == Position.CLOSED


def test_light_that_was_on_stays_on_behind_its_shutter(bench):
    bench.laser.emission.on = True
    assert bench.RE(with_light(bench.laser, note(bench.log, "inner"))).plan_result == "inner"
    assert bench.log == ["shutter on", "inner", "shutter off"]
    bench.laser.emission.on = False


def test_light_that_was_off_is_off_again(bench):
    bench.RE(with_light(bench.laser, lambda: note(bench.log, "inner")))
    assert bench.log == ["armed on", "emission on", "shutter on", "inner", "shutter off", "emission off"]


def test_light_without_a_shutter_is_its_emission(bench):
    lamp = SimpleNamespace(name="lamp", emission=bench.laser.emission)
    bench.RE(with_light(lamp, note(bench.log, "inner")))
    assert bench.log == ["emission on", "inner", "emission off"]


@pytest.mark.parametrize(("on", "said"), [(False, "does not emit"), (True, "")])
def test_what_is_dark_is_named(bench, on, said):
    bench.laser.shutter.on, bench.laser.emission.on = True, on
    told = bench.RE(darkness(bench.meter)).plan_result
    bench.laser.shutter.on = bench.laser.emission.on = False
    assert said in told
    assert bool(told) == bool(said)
    assert "shutter of laser is closed" in bench.RE(darkness(bench.meter)).plan_result
    assert bench.RE(darkness(SimpleNamespace())).plan_result == ""  # in no rig


LACKING = [
    (lambda b: with_light(b.meter, bps.null()), "meter is not shutter control .*one that is: laser"),
    (lambda b: set_wavelength(b.rig, 500), "is not wavelength tunable"),
    (
        lambda b: open_shutter(b.meter, bps.null()),
        r"shutter control \(it is: .*readable.*one that is: laser",
    ),
    (lambda b: close_shutter(b.meter), "meter is not shutter control"),
    (lambda b: with_emission(b.meter, bps.null()), "meter is not emission control .*one that is: laser"),
    (lambda b: expose(b.laser, 1), "laser is not exposure control.*no device of the rig is exposure control"),
    (lambda b: open_shutter(b.laser, 5), "5 is not a plan"),
]


@pytest.mark.parametrize(("call", "message"), LACKING)
def test_a_device_that_cannot_is_refused_at_once_with_those_that_can(bench, call, message):
    with pytest.raises(RdaqError, match=message):
        call(bench)
    assert bench.log == []


@pytest.mark.parametrize("nm", [0, -1, float("nan"), float("inf")])
def test_wavelengths_that_cannot_be(bench, nm):
    with pytest.raises(LimitError, match="^laser-wavelength = "):
        set_wavelength(bench.laser, nm)


def test_a_wavelength_of_a_source_and_of_a_detector(bench):
    for device in (bench.laser, bench.meter):
        bench.RE(set_wavelength(device, 780.0))
        assert call_in_bluesky_event_loop(device.wavelength.get_value()) == 780


def test_a_sweep_makes_its_light_follows_with_the_meter_and_leaves_darkness(bench):
    rows = []
    plan = wavelength_sweep(bench.laser, bench.meter, 700, 900, 5, 0.0, light=bench.laser)
    bench.RE(plan, {"event": lambda _, doc: rows.append(doc["data"])})
    assert [row["laser-wavelength"] for row in rows] == [700, 750, 800, 850, 900]
    assert [row["meter-wavelength"] for row in rows] == [700, 750, 800, 850, 900]
    assert [row["meter-power"] for row in rows] == pytest.approx([1 - (d / 320) ** 2 for d in (100, 50, 0, 50, 100)])
    assert bench.log == ["armed on", "emission on", "shutter on", "shutter off", "emission off"]


def test_a_sweep_that_fails_leaves_darkness(bench):
    bench.meter.fails = True
    with pytest.raises(FailedStatus):
        bench.RE(wavelength_sweep(bench.laser, bench.meter, 700, 900, 5, 0.0, light=bench.laser))
    assert bench.log[-2:] == ["shutter off", "emission off"]


def test_a_sweep_without_a_switch_is_refused(bench):
    with pytest.raises(RdaqError, match="meter is not shutter control .*one that is: laser"):
        bench.RE(wavelength_sweep(bench.laser, bench.meter, 700, 900, 5, 0.0, light=bench.meter))


def test_a_scan_that_finds_nothing_in_its_light_says_so(bench, caplog):
    def points(_):
        return step([bench.meter], [(bench.laser.wavelength, 800.0)], 0.0)

    plan = scan("search", [bench.meter], [], 1, points, lambda _: None, light=bench.laser)
    assert bench.RE(plan).plan_result is None
    assert "search found nothing; no fit to what was measured is to be trusted" in caplog.text


@pytest.mark.parametrize(("kind", "units", "said"), [(float, "THz", "is in THz"), (bool, None, "is a boolean")])
def test_a_wavelength_in_other_units_is_not_set(bench, kind, units, said):
    tuned = Device("tuned")
    tuned.wavelength = soft_signal_rw(kind, units=units)
    tuned.set_name("tuned")
    call_in_bluesky_event_loop(tuned.connect(), timeout=20)
    with pytest.raises(RdaqError, match=f"tuned-wavelength {said}"):
        bench.RE(set_wavelength(tuned, 800.0))
    assert call_in_bluesky_event_loop(tuned.wavelength.get_value(), timeout=20) == kind()
