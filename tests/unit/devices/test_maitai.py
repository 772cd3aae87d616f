"""The Mai Tai driver against the laser's simulator on a real pty: light and shutter."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator

import pytest
from connected import connected
from lasers import QuickMaiTai, light, quick_laser, state
from parts import until

from rdaq_ophyd.capabilities import EmissionControl, ShutterControl, StopMeans, WavelengthTunable, stop_capability
from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.errors import (
    ChangeUnconfirmed,
    EmissionRefused,
    InstrumentError,
    LimitError,
    ReplyTimeout,
    StopLatched,
)
from rdaq_ophyd.sim import Faults, Port, serve_pty
from rdaq_ophyd.stop import reset, stop_all


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(quick_laser(), lift_baud=True) as served:
        yield served


@pytest.fixture
async def laser(port: Port) -> AsyncIterator[MaiTai]:
    async with connected(MaiTai(port.url, "laser")) as laser:
        yield laser


def on_commands(port: Port) -> int:
    return port.log.bytes().count(b"ON\n")


def test_what_it_can_do():
    laser = MaiTai("/dev/x", "laser")
    assert isinstance(laser, WavelengthTunable)
    assert isinstance(laser, ShutterControl)
    assert isinstance(laser, EmissionControl)
    assert stop_capability(laser).means is StopMeans.SOFTWARE
    assert "keeps the light" in str(stop_capability(laser))
    assert stop_capability(laser.wavelength).means is StopMeans.BETWEEN_MOVES
    assert not hasattr(laser, "halt")  # a pause keeps the light
    settable = {name for name, child in laser.children() if hasattr(child, "set")}
    assert settable == {"shutter", "emission", "armed", "wavelength"}  # no pump power, current or mode


async def test_a_look_does_not_start_the_watchdog(port: Port):
    looked = MaiTai(port.url, "looked")
    looked.starts_watchdog = False
    await looked.connect()
    looked.close()
    assert b"WATChdog" not in port.log.bytes()


async def test_connecting_switches_nothing_on_and_arms_the_watchdog(laser: MaiTai, port: Port):
    assert state(port) == (False, False)
    sent = port.log.bytes()
    assert b"TIMer:WATChdog 10\nSYSTem:ERR?\n" in sent
    for command in (b"ON\n", b"SHUTter 1", b"SHUTter 0", b"OFF\n", b"MODE ", b"PLASer:POWer ", b"WAVelength "):
        assert command not in sent
    assert port.instrument.watchdog == 10


async def test_light_takes_two_steps(laser: MaiTai, port: Port):
    with pytest.raises(EmissionRefused, match="laser-emission: not armed → set laser-armed to True"):
        await laser.emission.set(True)
    assert on_commands(port) == 0
    await laser.armed.set(True)
    assert await laser.armed.get_value()
    await laser.emission.set(True)
    assert await laser.emission.get_value()
    assert await laser.armed.get_value() is False  # used up
    await laser.emission.set(True)  # it is on: nothing to do
    assert on_commands(port) == 1
    await laser.emission.set(False)
    assert state(port) == (False, False)
    with pytest.raises(EmissionRefused, match="not armed"):
        await laser.emission.set(True)
    assert on_commands(port) == 1


async def test_an_arming_expires_and_can_be_taken_back(port: Port):
    laser = MaiTai(port.url, "laser", armed_for=0.05)
    await laser.connect()
    await laser.armed.set(True)
    await asyncio.sleep(0.06)
    assert await laser.armed.get_value() is False
    with pytest.raises(EmissionRefused, match=r"within 0\.05 s"):
        await laser.emission.set(True)
    laser._arming.seconds = 60.0
    for take_back in (lambda: laser.armed.set(False), laser.stop, lambda: asyncio.to_thread(laser.note_stop)):
        await laser.armed.set(True)
        await take_back()
        with pytest.raises(EmissionRefused):
            await laser.emission.set(True)
    assert on_commands(port) == 0
    laser.close()


@pytest.mark.parametrize("warm", [1.0, 50.0, 99.99])
async def test_no_light_while_it_warms_up(laser: MaiTai, port: Port, warm: float):
    port.instrument.warmed = warm
    await laser.armed.set(True)
    with pytest.raises(EmissionRefused, match=rf"{warm:g} % warmed up → wait until it is 100 %"):
        await laser.emission.set(True)
    assert on_commands(port) == 0
    assert await laser.armed.get_value()
    await laser.warm_up.execute()  # under way already
    assert on_commands(port) == 0


async def test_a_cold_laser_is_warmed_up_by_its_own_command(laser: MaiTai, port: Port):
    port.instrument.warmed, port.instrument.warm_up = 0.0, 0.2
    with pytest.raises(EmissionRefused, match="not armed"):
        await laser.warm_up.execute()
    await laser.armed.set(True)
    with pytest.raises(EmissionRefused, match="0 % warmed up → trigger laser-warm_up first"):
        await laser.emission.set(True)
    await laser.warm_up.execute()
    while await laser.warmup.get_value() < 100:
        assert not state(port)[0]
    await laser.armed.set(True)
    await laser.emission.set(True)
    assert state(port)[0]


async def test_emission_that_does_not_come_is_taken_back(laser: MaiTai, port: Port):
    laser.emission_switch.seconds = 0.2
    port.instrument.emission_lag = 60.0
    await laser.armed.set(True)
    with pytest.raises(ChangeUnconfirmed, match=r"laser-emission: still False after 0\.2 s; 'OFF' is sent"):
        await laser.emission.set(True)
    await until(lambda: not state(port)[0])


async def test_what_the_laser_refuses_is_told(laser: MaiTai, port: Port):
    port.call(port.instrument.open_interlock)
    await laser.armed.set(True)
    with pytest.raises(
        InstrumentError, match=r"laser: instrument error 160: system error.*after 'ON' → look at"
    ) as told:
        await laser.emission.set(True)
    assert told.value.__notes__ == [
        "then error 130: command cannot be carried out now",
        "laser: 'OFF' was sent, since nobody knows whether it followed",
    ]
    with pytest.raises(InstrumentError, match=r"130: command cannot be carried out now, after 'SHUTter 1'"):
        await laser.shutter.set(True)
    assert state(port) == (False, False)
    faults = await laser.faults.get_value()
    assert [part.split()[1] for part in faults.split("; ") if part[0].isdigit()] == ["160", "130", "130"]


async def test_the_shutter_is_waited_for(laser: MaiTai, port: Port):
    port.instrument.shutter_lag = 0.2
    await laser.shutter.set(True)
    assert state(port) == (False, True)
    await laser.shutter.set(False)
    assert state(port) == (False, False)
    assert port.log.bytes().count(b"SHUTter 1\n") == port.log.bytes().count(b"SHUTter 0\n") == 1


async def test_a_shutter_that_does_not_open_is_told_to_close(
    laser: MaiTai, port: Port, monkeypatch: pytest.MonkeyPatch
):
    laser.shutter_switch.seconds = 0.2
    port.instrument.stuck = True
    with pytest.raises(ChangeUnconfirmed, match=r"laser-shutter: still False after 0\.2 s; 'SHUTter 0' is sent"):
        await laser.shutter.set(True)
    port.instrument.stuck = False
    await laser.shutter.set(True)
    port.instrument.stuck = True
    with pytest.raises(ChangeUnconfirmed, match=r"still True 0\.2 s after 'SHUTter 0' → block the beam"):
        await laser.shutter.set(False)


@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_light_that_nobody_waits_for_any_more_is_taken_back(laser: MaiTai, port: Port, delay: float):
    port.instrument.latency, port.instrument.shutter_lag = 0.02, 0.2
    opening = asyncio.ensure_future(laser.shutter.set(True).task)
    await until(lambda: b"SHUTter 1\n" in port.log.bytes())
    await asyncio.sleep(delay)  # the check, then the wait for the shutter
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: b"SHUTter 0\n" in port.log.bytes())
    await until(lambda: port.call(lambda now: not port.instrument._waiting and port.instrument._shutter_due is None))
    assert state(port) == (False, False)


async def test_light_with_an_error_that_was_there_before_is_taken_back(laser: MaiTai, port: Port):
    port.call(lambda now: port.instrument.feed(b"FIRE\n", now))
    await laser.armed.set(True)
    with pytest.raises(InstrumentError, match="129: command not understood, after 'ON'"):
        await laser.emission.set(True)
    await until(lambda: b"OFF\n" in port.log.bytes())
    await until(lambda: not state(port)[0])


async def test_off_and_close_are_independent(laser: MaiTai, port: Port):
    await light(laser)
    assert state(port) == (True, True)
    await laser.emission.set(False)
    assert state(port) == (False, True)
    await laser.armed.set(True)
    await laser.emission.set(True)
    await laser.shutter.set(False)
    assert state(port) == (True, False)


@pytest.mark.parametrize("bad", ["open", 1, None, math.nan])
async def test_only_true_and_false(laser: MaiTai, port: Port, bad: object):
    before = state(port)
    for signal in (laser.shutter, laser.emission, laser.armed):
        with pytest.raises((LimitError, TypeError)):
            await signal.set(bad)
    assert state(port) == before


async def test_while_everything_is_stopped_only_dark_is_possible(laser: MaiTai, port: Port):
    await light(laser)
    stop_all("a test")
    assert state(port) == (True, False)
    with pytest.raises(StopLatched):
        await laser.armed.set(True)
    laser._arming.arm()  # as if it came a moment before
    for refused in (lambda: laser.shutter.set(True), lambda: laser.wavelength.set(850)):
        with pytest.raises(StopLatched):
            await refused()
    await laser.emission.set(False)
    with pytest.raises(StopLatched):
        await laser.emission.set(True)
    with pytest.raises(StopLatched):  # not armed any more: the stop is the first thing to tell
        await laser.emission.set(True)
    await laser.shutter.set(False)
    assert state(port) == (False, False)
    assert b"WAVelength 850" not in port.log.bytes()
    reset("looked at it")
    assert state(port) == (False, False)
    with pytest.raises(EmissionRefused):
        await laser.emission.set(True)


async def test_while_everything_is_stopped_it_can_be_connected_and_watched(port: Port):
    laser = MaiTai(port.url, "laser")
    stop_all("a test")
    await laser.connect()
    assert port.instrument.watchdog == 10
    assert await laser.shutter.get_value() is False
    await laser.shutter.set(False)
    laser.close()


@pytest.mark.parametrize("off", [False, True])
async def test_stop_all_closes_confirms_and_switches_off_where_configured(port: Port, off: bool):
    laser = MaiTai(port.url, "laser", off_on_stop=off)
    await laser.connect()
    await light(laser)
    report = await asyncio.to_thread(stop_all, "a test")
    assert [str(verdict) for verdict in report.verdicts] == ["laser: confirmed", "laser-emission: confirmed"][: 1 + off]
    assert state(port) == (not off, False)
    sent = port.log.bytes()
    assert sent.count(b"SHUTter 0\n") == 1
    assert sent.count(b"OFF\n") == off
    if off:
        assert sent.index(b"SHUTter 0\n") < sent.index(b"OFF\n")
    laser.close()


async def test_stop_all_passes_a_pending_reply(port: Port):
    laser = QuickMaiTai(port.url, "laser")
    await laser.connect()
    await light(laser)
    port.faults = Faults(mute=True)
    asked = port.log.bytes().count(b"READ:POWer?\n")
    reading = asyncio.ensure_future(laser.power.get_value())
    await until(lambda: port.log.bytes().count(b"READ:POWer?\n") > asked)
    stopping = asyncio.get_running_loop().run_in_executor(None, stop_all, "a test")
    await until(lambda: b"SHUTter 0\n" in port.log.bytes())
    assert not reading.done()
    port.faults = Faults()
    assert str((await stopping).verdicts[0]) == "laser: confirmed"
    with pytest.raises(ReplyTimeout):
        await reading
    laser.close()


async def test_a_shutter_that_sticks_is_not_confirmed(port: Port, laser: MaiTai):
    await laser.shutter.set(True)
    port.instrument.stuck = True
    laser.shutter_switch.seconds = 0.2
    report = await asyncio.to_thread(stop_all, "a test")
    assert str(report.verdicts[0]).startswith("laser: unconfirmed (after halt, a second halt: to b'SHUTter?\\n'")
    assert port.log.bytes().count(b"SHUTter 0\n") == 2
