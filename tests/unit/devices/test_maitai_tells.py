"""The Mai Tai driver against the laser's simulator on a real pty: what it tells of itself; other heads; mock mode."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator

import pytest
from connected import connected
from lasers import QuickMaiTai, light, quick_laser
from ophyd_async.core import init_devices
from parts import until

from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.errors import (
    BadReply,
    EmissionRefused,
    LimitError,
    ReplyTimeout,
    WrongInstrument,
)
from rdaq_ophyd.link import SerialSettings, open_links
from rdaq_ophyd.sim import Faults, Port, SimEsp300, serve_pty, serve_tcp
from rdaq_ophyd.stop import SafeState


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(quick_laser(), lift_baud=True) as served:
        yield served


@pytest.fixture
async def laser(port: Port) -> AsyncIterator[MaiTai]:
    async with connected(MaiTai(port.url, "laser")) as laser:
        yield laser


async def test_readings(laser: MaiTai, port: Port):
    await light(laser)
    await until(lambda: port.call(lambda now: port.instrument.mode_locked))
    reading = {key.removeprefix("laser-"): value["value"] for key, value in (await laser.read()).items()}
    assert reading == {
        "wavelength": 800.0,
        "power": 3.0,
        "shutter": True,
        "emission": True,
        "mode_locked": True,
        "pump_power": 14.0,
    }
    configuration = {key.removeprefix("laser-"): v["value"] for key, v in (await laser.read_configuration()).items()}
    assert configuration == {
        "warmup": 100.0,
        "humidity": 7.26,
        "pump_mode": "POW",
        "pump_code": "1 on, power mode",
        "wavelength-low_limit": 690.0,
        "wavelength-high_limit": 1040.0,
    }
    assert set(laser.hints["fields"]) == {"laser-power", "laser-wavelength"}
    description = await laser.describe()
    assert description["laser-power"]["units"] == "W"
    assert description["laser-wavelength"]["units"] == "nm"


@pytest.mark.parametrize(("unit", "rated"), [("W", None), ("mW", None), ("%", 3.0)])
async def test_power_is_scaled_by_its_unit(port: Port, laser: MaiTai, unit: str, rated: float | None):
    port.instrument.power_unit = unit
    laser._rated_power = rated
    await light(laser)
    port.call(lambda now: setattr(port.instrument, "_on_at", now - 10))
    assert await laser.power.get_value() == pytest.approx(3.0)


async def test_a_percentage_of_nobody_knows_what_is_no_power(port: Port, laser: MaiTai):
    port.instrument.power_unit = "%"
    with pytest.raises(BadReply, match=r"laser-power: .*answered '0\.00%'.*tell the device its rated_power"):
        await laser.power.get_value()


async def test_at_its_own_baud_rate():
    with serve_pty(quick_laser(), strict_baud=True) as port:
        laser = MaiTai(port.url, "laser")
        await laser.connect()
        await laser.shutter.set(True)
        assert (await laser.read())["laser-shutter"]["value"] is True
        laser.close()
        wrong = QuickMaiTai(port.url, "laser", serial=SerialSettings(115_200))
        with pytest.raises((ReplyTimeout, BadReply, WrongInstrument)):
            await wrong.connect()


async def test_behind_a_serial_server():
    with serve_tcp(quick_laser(), lift_baud=True) as port:
        laser = MaiTai(port.url.replace("socket://", "tcp://"), "laser")
        await laser.connect()
        await laser.wavelength.set(805)
        assert (await laser.read())["laser-wavelength"]["value"] == 805.0
        laser.close()


async def test_xon_xoff_where_the_unit_wants_it(port: Port):
    laser = MaiTai(port.url, "laser", serial=SerialSettings(9600, xonxoff=True))
    await laser.connect()
    assert laser.channel.link.settings.xonxoff
    await laser.shutter.set(True)
    laser.close()


async def test_errors_of_before_are_forgotten(port: Port):
    port.call(lambda now: port.instrument.feed(b"FIRE\n", now))
    laser = MaiTai(port.url, "laser")
    await laser.connect()
    assert len(port.instrument.errors) == 0
    assert "129 command not understood" in await laser.faults.get_value()
    await laser.shutter.set(True)
    laser.close()


async def test_the_reply_of_a_cancelled_command_is_kept(port: Port, laser: MaiTai):
    port.call(port.instrument.open_interlock)
    port.instrument.latency = 0.1
    opening = asyncio.ensure_future(laser.shutter.set(True).task)
    await until(lambda: b"SHUTter 1" in port.log.bytes())
    opening.cancel()
    await until(lambda: "160" in str(laser.errors))
    assert "160 system error" in await laser.faults.get_value()


async def test_the_history_in_words(laser: MaiTai, port: Port):
    port.call(port.instrument.open_interlock)
    port.call(port.instrument.close_interlock)
    port.instrument.history.appendleft(63)
    assert (await laser.history.execute()).startswith("63 (see the manual); 116 interlock cleared; 0 nothing")


async def test_a_head_without_a_humidity_sensor():
    with serve_pty(quick_laser(humidity_sensor=False), lift_baud=True) as port:
        laser = QuickMaiTai(port.url, "laser")
        await laser.connect()
        reading = (await laser.humidity.read())["laser-humidity"]
        assert math.isnan(reading["value"])
        assert reading["alarm_severity"] == 3
        assert port.log.bytes().count(b"READ:HUM?") == 1
        laser.close()


async def test_a_mute_humidity_sensor_is_no_missing_one(port: Port):
    laser = QuickMaiTai(port.url, "laser")
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout):
        await laser.connect()
    port.faults = Faults()
    await laser.connect()
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout):
        await laser.humidity.get_value()
    port.faults = Faults()
    assert await laser.humidity.get_value() == 7.26
    laser.close()


async def test_other_instruments_are_refused(port: Port):
    for said in (b"Spectra Physics,InSight,1,2\n", b"ESP300\n"):
        port.instrument.execute = lambda command, now, said=said: said
        with pytest.raises(WrongInstrument, match=r"is no Mai Tai; to '\*IDN\?' it said"):
            await MaiTai(port.url, "laser").connect()
    assert open_links() == ()
    with serve_pty(SimEsp300(), lift_baud=True) as other, pytest.raises(ReplyTimeout):
        await QuickMaiTai(other.url, "laser").connect()


async def test_the_older_identification_is_known(port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.sim.maitai.IDENTITY", "Spectra-Physics, MaiTai, 123, 0453-8620A/5.10/J40-4420H.")
    laser = MaiTai(port.url, "laser")
    await laser.connect()
    assert await laser.identity() == {
        "model": "MaiTai",
        "serial number": "123",
        "firmware": "0453-8620A/5.10/J40-4420H.",
    }
    laser.close()


@pytest.mark.parametrize(
    "wrong",
    [{"watchdog": 3}, {"watchdog": 0}, {"watchdog": 5.5}, {"watchdog": math.nan}, {"armed_for": 0.0},
     {"armed_for": math.inf}, {"rated_power": -1.0}, {"tolerance": math.nan}, {"limits": (900, 800)},
     {"serial": SerialSettings(9600, rtscts=True)}],
)  # fmt: skip
def test_settings_that_cannot_be_meant(wrong: dict):
    with pytest.raises(LimitError):
        MaiTai("/dev/x", "laser", **wrong)


async def test_mock_mode():
    async with init_devices(mock=True):
        laser = MaiTai("/dev/not-there", limits=(700, 900))
    await laser.wavelength.set(850.0)
    await laser.shutter.set(True)
    reading = await laser.read()
    assert reading["laser-wavelength"]["value"] == 850.0
    assert reading["laser-shutter"]["value"] is True
    limits = (await laser.wavelength.setpoint.describe())["laser-wavelength-setpoint"]["limits"]["control"]
    assert limits == {"low": 700, "high": 900}
    with pytest.raises(LimitError):
        await laser.wavelength.set(950.0)
    await laser.stop()


async def test_a_rehearsal_wants_arming_too():
    async with init_devices(mock=True):
        laser = MaiTai("/dev/not-there")
    with pytest.raises(EmissionRefused, match="laser-emission: not armed"):
        await laser.emission.set(True)
    await laser.armed.set(True)
    await laser.emission.set(True)
    assert await laser.emission.get_value()
    assert await laser.armed.get_value() is False
    await laser.emission.set(False)


async def test_how_it_is_made_safe_travels_to_the_watchdog():
    laser = MaiTai("/dev/x", "laser", off_on_stop=True)
    states = laser.safe_states()
    assert [SafeState.from_json(json.loads(json.dumps(state.as_json()))) for state in states] == list(states)
    closed, off = states
    assert closed.first
    assert off.first
    assert [closed.is_safe(said) for said in (b"0", b"1", b"", b"8")] == [True, False, False, False]
    assert [off.is_safe(said) for said in (b"0", b"8", b"10", b"1", b"11", b"", b"x")] == [True] * 3 + [False] * 4
