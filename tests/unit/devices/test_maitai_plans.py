"""Plans with a Mai Tai: a wavelength sweep, a pause that keeps the light, a resume that is refused in other light."""

from __future__ import annotations

from collections.abc import Iterator

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from lasers import light, quick_laser, state
from planthread import PlanThread, wait

from rdaq_ophyd.devices import _maitai_wavelength
from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.devices.newport_1830c import AnalogFilter, Newport1830C
from rdaq_ophyd.errors import EmissionRefused, ResumeRefused
from rdaq_ophyd.plans import with_emission
from rdaq_ophyd.sim import Port, SimNewport1830C, serve_pty
from rdaq_ophyd.startup._run_engine import RigRunEngine, make_run_engine, stop_loop
from rdaq_ophyd.stop import stop_all


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The actual wavelength is asked for more often than a laser needs it."""
    monkeypatch.setattr(_maitai_wavelength, "POLL", 0.01)


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(quick_laser(), lift_baud=True) as served:
        yield served


@pytest.fixture
def meter_port(port: Port) -> Iterator[Port]:
    """A meter that sees the laser's light when the shutter is open."""

    def seen(t: float) -> float:
        laser = port.instrument
        return 1e-3 * laser.power if laser.shutter else 0.0

    with serve_pty(SimNewport1830C(seen, noise=0.0), lift_baud=True) as served:
        yield served


@pytest.fixture
def rig(port: Port, meter_port: Port) -> Iterator[tuple[RigRunEngine, MaiTai, Newport1830C]]:
    devices: dict = {}
    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)

    async def make() -> None:
        devices.update(laser=MaiTai(port.url, "laser"), meter=Newport1830C(meter_port.url, "meter"))
        for device in devices.values():
            await device.connect()
        await devices["meter"].filter.set(AnalogFilter.FAST)

    call_in_bluesky_event_loop(make(), timeout=20)
    with RE.plan_end:
        yield RE, devices["laser"], devices["meter"]
    if RE.state == "paused":
        RE.abort()
    for device in devices.values():
        device.close()
    stop_loop(RE)


def in_loop(coro):
    return call_in_bluesky_event_loop(coro, timeout=20)


async def set_to(signal, value) -> None:
    await signal.set(value)


def lit(laser: MaiTai):
    """A plan that makes light: two steps, each its own."""
    yield from bps.mv(laser.armed, True)
    yield from bps.mv(laser.emission, True)
    yield from bps.mv(laser.shutter, True)
    while not (yield from bps.rd(laser.mode_locked)):
        yield from bps.sleep(0.01)


def test_a_sweep(rig, port: Port):
    RE, laser, meter = rig
    rows: list[dict] = []
    plan = bpp.pchain(lit(laser), bp.scan([meter, laser], laser.wavelength, 780, 860, 5), bps.mv(laser.shutter, False))
    assert RE(plan, {"event": lambda _, doc: rows.append(doc["data"])}).exit_status == "success"
    assert [row["laser-wavelength"] for row in rows] == [780, 800, 820, 840, 860]
    assert [row["laser-wavelength-setpoint"] for row in rows if "laser-wavelength-setpoint" in row] == []
    assert all(row["laser-shutter"] and row["laser-emission"] for row in rows)
    assert rows[1]["laser-power"] > rows[4]["laser-power"] > 2.0
    assert rows[4]["meter-power"] == pytest.approx(1e-3 * rows[4]["laser-power"], rel=0.01)
    assert state(port) == (True, False)  # the end of a plan switches nothing


def test_a_plan_that_forgets_to_arm_fails_and_sends_nothing(rig, port: Port):
    RE, laser, _ = rig
    with pytest.raises(FailedStatus) as failed:
        RE(bps.mv(laser.emission, True))
    assert isinstance(failed.value.__cause__, EmissionRefused)
    assert b"ON\n" not in port.log.bytes()


@pytest.fixture
def paused(rig, port: Port) -> tuple[RigRunEngine, MaiTai]:
    """A sweep that is paused in mid-tuning, with light."""
    RE, laser, meter = rig
    in_loop(light(laser))
    port.instrument.tuning = 20.0
    plan = PlanThread(RE, bp.scan([meter], laser.wavelength, 900, 940, 3))
    wait(lambda: b"WAVelength 900" in port.log.bytes())
    RE.request_pause()
    plan.end()
    assert isinstance(plan.error, RunEngineInterrupted)
    assert RE.state == "paused"
    return RE, laser


def test_a_pause_in_mid_tuning_keeps_the_light_and_goes_on(paused, port: Port):
    RE, _ = paused
    assert state(port) == (True, True)
    assert b"SHUTter 0" not in port.log.bytes()
    port.instrument.tuning = 2000.0
    assert RE.resume().exit_status == "success"
    assert state(port) == (True, True)
    assert port.log.bytes().count(b"ON\n") == port.log.bytes().count(b"SHUTter 1\n") == 1


def test_resume_is_refused_when_the_shutter_is_not_as_it_was(paused, port: Port):
    RE, laser = paused
    in_loop(set_to(laser.shutter, False))
    port.instrument.tuning = 2000.0
    with pytest.raises(ResumeRefused, match=r"laser\.shutter was True when the plan paused and is False now"):
        RE.resume()
    in_loop(set_to(laser.shutter, True))
    assert RE.resume().exit_status == "success"


def test_resume_is_refused_when_the_laser_went_off_and_nothing_switches_it_on(paused, port: Port):
    RE, _ = paused
    port.call(lambda now: port.instrument._off())
    with pytest.raises(ResumeRefused, match=r"laser\.emission was True when the plan paused and is False now"):
        RE.resume()
    assert state(port) == (False, True)
    assert port.log.bytes().count(b"ON\n") == 1


def test_an_abort_keeps_the_light_and_stop_all_does_not(paused, port: Port):
    RE, _ = paused
    RE.abort()
    assert state(port) == (True, True)
    assert str(stop_all("a test").verdicts[0]) == "laser: confirmed"
    assert state(port) == (True, False)


def test_stop_all_in_mid_sweep_closes_and_ends_the_plan(rig, port: Port):
    RE, laser, meter = rig
    in_loop(light(laser))
    port.instrument.tuning = 20.0
    plan = PlanThread(RE, bp.scan([meter], laser.wavelength, 900, 940, 3))
    wait(lambda: b"WAVelength 900" in port.log.bytes())
    assert "laser: confirmed" in str(stop_all("a test"))
    plan.end()
    assert RE.state == "idle"
    assert state(port) == (True, False)
    assert b"WAVelength 920" not in port.log.bytes()


def test_closing_in_the_clean_up_of_a_stopped_plan_is_done(rig, port: Port):
    RE, laser, meter = rig
    in_loop(light(laser))
    port.instrument.tuning = 20.0
    dark = bpp.finalize_wrapper(
        bp.scan([meter], laser.wavelength, 900, 940, 3), lambda: bps.mv(laser.shutter, False, laser.emission, False)
    )
    plan = PlanThread(RE, dark)
    wait(lambda: b"WAVelength 900" in port.log.bytes())
    stop_all("a test")
    plan.end()
    assert state(port) == (False, False)


def test_emission_that_was_on_already_leaves_nothing_armed(rig, port):
    RE, laser, _ = rig
    RE(bps.mv(laser.armed, True))
    RE(bps.mv(laser.emission, True))
    RE(with_emission(laser, bps.null()))
    assert not port.instrument.on
    assert not in_loop(laser.armed.get_value(cached=False))
    with pytest.raises(FailedStatus) as error:
        RE(bps.mv(laser.emission, True))
    assert isinstance(error.value.__cause__, EmissionRefused)
    assert not port.instrument.on


def test_each_way_to_use_up_an_arming(rig, port):
    RE, laser, _ = rig
    RE(bps.mv(laser.armed, True))
    RE(bps.mv(laser.emission, False))
    assert not in_loop(laser.armed.get_value(cached=False))
    RE(lit(laser))
    RE(bps.mv(laser.armed, True))
    RE(bps.mv(laser.emission, True))
    assert port.instrument.on
    assert not in_loop(laser.armed.get_value(cached=False))
