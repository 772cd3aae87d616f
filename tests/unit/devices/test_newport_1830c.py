"""The 1830-C driver against the meter's simulator on a real pty."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from ophyd_async.core import init_devices, soft_signal_r_and_setter
from parts import until

from rdaq_ophyd.devices import newport_1830c as module
from rdaq_ophyd.devices.newport_1830c import AnalogFilter, Newport1830C
from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LimitError,
    ReadingInterrupted,
    ReplyTimeout,
    UnitsError,
    WrongInstrument,
)
from rdaq_ophyd.link import Lane, open_links
from rdaq_ophyd.plans._events import collected
from rdaq_ophyd.sim import Faults, Port, SimEsp300, SimNewport1830C, serve_pty


class Light:
    """Watts on the detector."""

    watts = 1e-3

    def __call__(self, t: float) -> float:
        return self.watts


@pytest.fixture
def light() -> Light:
    return Light()


@pytest.fixture
def port(light: Light) -> Iterator[Port]:
    with serve_pty(SimNewport1830C(light, noise=0.0), lift_baud=True) as served:
        yield served


@pytest.fixture
async def meter(port: Port) -> AsyncIterator[Newport1830C]:
    async with init_devices():
        meter = Newport1830C(port.url)
    yield meter
    meter.close()
    assert open_links() == ()


async def watts(meter: Newport1830C) -> tuple[float, int]:
    await meter.trigger()
    reading = (await meter.read())["meter-power"]
    return reading["value"], reading["alarm_severity"]


async def test_reads_watts_hinted(meter: Newport1830C):
    assert await watts(meter) == (pytest.approx(1e-3, rel=1e-3), 0)
    assert (await meter.read())["meter-power"]["value"] == pytest.approx(1e-3, rel=1e-3)
    assert meter.hints == {"fields": ["meter-power"]}
    assert (await meter.describe())["meter-power"]["units"] == "W"


async def test_a_triggered_reading_is_taken_after_the_trigger(meter: Newport1830C, light: Light):
    await meter.filter.set(AnalogFilter.FAST)
    for power in (1e-3, 2e-6, 5e-9, 1e-4):
        light.watts = power
        assert (await watts(meter))[0] == pytest.approx(power, rel=0.01)


async def test_a_poll_does_not_take_the_triggered_reading(meter: Newport1830C, light: Light):
    await meter.trigger()
    light.watts = 5e-4
    await meter._measure(Lane.POLL)
    assert (await meter.read())["meter-power"]["value"] == pytest.approx(1e-3, rel=1e-3)


async def test_a_triggered_reading_keeps_the_time_at_which_it_was_taken(meter: Newport1830C, light: Light):
    before = time.time()
    await meter.trigger()
    taken = time.time()
    light.watts = 5e-4
    await until(lambda: time.time() > taken + 0.05)
    reading = (await meter.read())["meter-power"]
    assert before <= reading["timestamp"] <= taken
    assert reading["value"] == pytest.approx(1e-3, rel=1e-3)
    later = (await meter.read())["meter-power"]
    assert later["timestamp"] > taken + 0.05


@pytest.mark.parametrize("verb", ["stage", "unstage"])
async def test_what_an_aborted_plan_triggered_is_not_read_by_the_next(meter: Newport1830C, light: Light, verb: str):
    await meter.filter.set(AnalogFilter.FAST)
    await meter.trigger()
    await getattr(meter, verb)()
    assert meter._triggered is None
    light.watts = 5e-6
    await watts(meter)
    assert (await meter.read())["meter-power"]["value"] == pytest.approx(5e-6, rel=0.01)
    in_flight = meter.trigger()
    await asyncio.sleep(0)
    await getattr(meter, verb)()
    await in_flight
    assert meter._triggered is None


@pytest.mark.parametrize("garbled", ["", "x", "1\x003", "256", "²"])
async def test_a_garbled_status_after_a_setting_is_no_success(meter: Newport1830C, garbled: str):
    with pytest.raises(BadReply, match="after 'W0700'; expected 0 to 255"):
        await meter.check_write(garbled, "W0700")
    await meter.wavelength.set(700)


async def test_echo_and_units_left_by_others_are_set_right(port: Port):
    port.instrument.settings |= {"E": 1, "U": 3}
    meter = Newport1830C(port.url, "meter")
    await meter.connect()
    assert (port.instrument.settings["E"], port.instrument.settings["U"]) == (0, 1)
    port.instrument.settings["U"] = 3
    assert (await watts(meter))[0] == pytest.approx(1e-3, rel=1e-3)
    meter.close()


@pytest.mark.parametrize("unit", [2, 3, 4])
@pytest.mark.parametrize("triggered", [False, True])
async def test_another_unit_is_never_taken_for_watts(
    meter: Newport1830C, port: Port, unit: int, triggered: bool, caplog: pytest.LogCaptureFixture
):
    await watts(meter)
    port.instrument.settings["U"] = unit  # at the front panel
    if triggered:
        await meter.trigger()
    assert (await meter.read())["meter-power"]["value"] == pytest.approx(1e-3, rel=1e-3)
    assert port.instrument.settings["U"] == 1
    assert ("set to watts again" in caplog.text) is not triggered  # a trigger sets watts anyway


async def test_a_meter_that_stays_in_another_unit(meter: Newport1830C, port: Port):
    real = port.instrument._set
    port.instrument._set = lambda letter, text, now: real(letter, "3" if letter == "U" else text, now)
    with pytest.raises(UnitsError, match=r"meter-power: the meter reads in unit 3, although it was set to watts"):
        await meter.trigger()
    port.instrument._set = real
    assert (await watts(meter))[0] == pytest.approx(1e-3, rel=1e-3)


async def test_the_attenuator_reaches_powers_that_saturate_the_bare_detector(meter: Newport1830C, light: Light):
    light.watts = 0.1
    assert (await watts(meter))[1] == 2
    await meter.attenuator.set(True)
    assert await watts(meter) == (pytest.approx(0.1, rel=1e-3), 0)
    await meter.attenuator.set(False)
    assert (await watts(meter))[1] == 2


async def test_zero_is_subtracted_until_it_is_switched_off(meter: Newport1830C, light: Light):
    await meter.filter.set(AnalogFilter.FAST)
    light.watts = 2e-4
    await watts(meter)
    await meter.zero.set(True)
    assert (await watts(meter))[0] == pytest.approx(0.0, abs=1e-6)
    light.watts = 7e-4
    assert (await watts(meter))[0] == pytest.approx(5e-4, rel=1e-3)
    await meter.zero.set(False)
    assert (await watts(meter))[0] == pytest.approx(7e-4, rel=1e-3)


@pytest.mark.parametrize("filter_", list(AnalogFilter))
async def test_every_filter_gives_the_reading_of_the_trigger(meter: Newport1830C, light: Light, filter_: AnalogFilter):
    await meter.filter.set(filter_)
    assert await meter.filter.get_value() is filter_
    assert (await watts(meter))[0] == pytest.approx(1e-3, rel=1e-3)


async def test_a_fixed_range_is_kept_and_automatic_ranging_finds_its_own(meter: Newport1830C, port: Port, light: Light):
    await meter.filter.set(AnalogFilter.FAST)
    light.watts = 5e-9
    await meter.range.set(8)
    await watts(meter)
    assert port.instrument.range == 8
    await meter.range.set(0)
    assert (await watts(meter))[0] == pytest.approx(5e-9, rel=1e-2)
    assert port.instrument.range < 4
    for bad in (-1, 9):
        with pytest.raises(LimitError, match="allowed: 0 to 8"):
            await meter.range.set(bad)


async def test_the_status_is_asked_before_every_reading(meter: Newport1830C, port: Port):
    sent = len(port.log.bytes())
    await meter.read()
    said = port.log.bytes()[sent:].decode()
    assert "Q?\n" in said
    assert said.index("Q?\n") < said.rindex("D?\n")


async def test_a_saturated_detector_is_alarmed_and_recovers(meter: Newport1830C, light: Light):
    light.watts = 50.0
    assert (await watts(meter))[1] == 2
    light.watts = 1e-3
    await watts(meter)
    assert await watts(meter) == (pytest.approx(1e-3, rel=1e-3), 0)


async def test_over_range_is_alarmed(meter: Newport1830C, light: Light):
    await meter.range.set(1)
    assert (await watts(meter))[1] == 2
    assert (await meter.read())["meter-power"]["alarm_severity"] == 2


async def test_settings(meter: Newport1830C, port: Port):
    await meter.wavelength.set(633)
    await meter.attenuator.set(True)
    await meter.zero.set(True)
    await meter.filter.set(AnalogFilter.SLOW)
    await meter.range.set(3)
    configuration = await meter.read_configuration()
    assert {key.removeprefix("meter-"): reading["value"] for key, reading in configuration.items()} == {
        "wavelength": 633.0,
        "attenuator": True,
        "zero": True,
        "range": 3,
        "filter": "slow",
        "running": True,
    }
    assert b"W0633\nQ?\n" in port.log.bytes()
    await meter.store_reference.trigger()
    await meter.clear_status.trigger()


@pytest.mark.parametrize("bad", [299, 1101, math.nan])
async def test_wavelengths_out_of_range(meter: Newport1830C, bad: float):
    with pytest.raises(LimitError, match="allowed: 300 to 1100 nm"):
        await meter.wavelength.set(bad)


async def test_what_the_meter_refuses_raises(meter: Newport1830C, port: Port):
    real = port.instrument._set
    port.instrument._set = lambda letter, text, now: real(letter, "9999", now)
    with pytest.raises(InstrumentError, match="parameter out of range in 'W0700'"):
        await meter.wavelength.set(700)
    port.instrument._set = real
    await meter.wavelength.set(700)
    with pytest.raises(InstrumentError, match="unknown command"):
        await meter.check_write("2", "Y7")


async def test_on_hold_the_last_reading_is_given(meter: Newport1830C, light: Light):
    await watts(meter)
    await meter.running.set(False)
    await meter.read()
    light.watts = 2e-3
    assert (await meter.read())["meter-power"]["value"] == pytest.approx(1e-3, rel=1e-3)


async def test_a_meter_without_readings_times_out(meter: Newport1830C, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "READING_TIMEOUT", 0.3)
    monkeypatch.setattr(module, "HOLD_CHECK", 0.1)
    monkeypatch.setattr(port.instrument, "_sample", lambda t: None)
    with pytest.raises(ReplyTimeout, match=r"meter: no reading ready within 0\.3 s"):
        await meter.trigger()


async def test_a_reply_that_is_no_number(meter: Newport1830C, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port.instrument, "_display", lambda: "ERR")
    with pytest.raises(BadReply, match=r"meter-power: .*answered 'ERR' to 'D\?'"):
        await meter.trigger()


async def test_another_instrument_is_refused(port: Port):
    port.instrument.execute = lambda command, now: b"ESP300\n" if command == "W?" else None
    with pytest.raises(WrongInstrument, match=r"is no 1830-C; to 'W\?' it said 'ESP300'"):
        await Newport1830C(port.url, "meter").connect()
    port.instrument.execute = lambda command, now: b"\xff\n" if command == "W?" else None
    with pytest.raises(WrongInstrument):
        await Newport1830C(port.url, "meter").connect()
    assert open_links() == ()


async def test_a_controller_on_the_meters_port_is_silent():
    with serve_pty(SimEsp300(), lift_baud=True) as port, pytest.raises(ReplyTimeout, match="is the instrument on"):
        await Newport1830C(port.url, "meter").connect()


async def test_a_mute_meter_in_mid_scan(meter: Newport1830C, port: Port):
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout, match="no reply to"):
        await asyncio.wait_for(meter.trigger(), 20)
    port.faults = Faults()
    assert (await watts(meter))[1] == 0


async def test_mock_mode():
    async with init_devices(mock=True):
        meter = Newport1830C("/dev/not-there")
    await meter.trigger()
    assert (await meter.read())["meter-power"]["value"] == 1e-6
    await meter.wavelength.set(532.0)
    assert (await meter.wavelength.describe())["meter-wavelength"]["limits"]["control"] == {"low": 300, "high": 1100}


async def test_a_stop_ends_a_reading_in_progress(meter: Newport1830C, port: Port, light: Light):
    await meter.filter.set(AnalogFilter.FAST)
    port.faults = Faults(mute=True)
    for steps in (0, 1, 20):  # before its first step, before its question is written, while it waits for the reply
        for success in (True, False):
            reading = meter.trigger()
            for _ in range(steps):
                await asyncio.sleep(0)
            await asyncio.wait_for(meter.stop(success), 0.5)  # a mute meter is not waited for
            assert reading.done
            assert reading.success is success
            if not success:
                with pytest.raises(ReadingInterrupted, match="meter: the reading was stopped"):
                    await reading
            await meter.stop()
    assert meter._triggered is None
    port.faults = Faults()
    light.watts = 2e-4
    assert (await watts(meter))[0] == pytest.approx(2e-4, rel=0.01)


async def test_a_stop_of_an_idle_meter_does_nothing(meter: Newport1830C, port: Port):
    await meter.trigger()
    sent = port.log.bytes()
    await meter.stop()
    await meter.stop(success=True)
    assert port.log.bytes() == sent
    assert meter._triggered is not None
    assert "ends at once" in str(meter.stop_capability)


async def test_a_cancelled_trigger_stays_cancelled(meter: Newport1830C):
    reading = meter.trigger()
    await asyncio.sleep(0)
    reading.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await meter.stop()
    await meter.trigger()


def test_each_event_tells_whether_its_reading_can_be_trusted(port: Port, light: Light, engine, in_loop):
    meter = Newport1830C(port.url, "meter")
    in_loop(meter.connect())
    try:
        rows = []

        def measured():
            yield from bps.mv(meter.range, 3)
            yield from bps.open_run()
            for light.watts in (1e-9, 1e-3, 1e-9):
                yield from bps.trigger_and_read([meter])
            yield from bps.close_run()

        engine(measured(), lambda name, doc: rows.append(doc["data"]) if name == "event" else None)
        assert [row["meter-power_severity"] for row in rows] == [0, 2, 0]
        assert in_loop(meter.power_severity.get_value(cached=False)) == 0
    finally:
        meter.close()


def test_a_knife_edge_is_not_fitted_to_what_is_over_range(port: Port, light: Light, engine, in_loop, caplog):
    meter = Newport1830C(port.url, "meter")
    at, put = soft_signal_r_and_setter(float, 0.0)
    in_loop(meter.connect())

    def shaded(most: float):
        for x in np.linspace(-2, 2, 9):
            put(float(x))
            light.watts = most * 0.5 * math.erfc(math.sqrt(2) * x / 0.8)
            yield from bps.trigger_and_read([meter, at])

    def measured(events, most: float):
        yield from bps.mv(meter.range, 3)
        yield from bps.open_run()
        yield from shaded(most)
        yield from bps.close_run()
        return events.trusted(["x", "meter-power"], 5)

    at.set_name("x")
    in_loop(at.connect())
    try:
        assert len(engine(collected(lambda events: measured(events, 1e-9))).plan_result[0]) == 9
        assert engine(collected(lambda events: measured(events, 1e-3))).plan_result is None
        assert "too few are left for a fit" in caplog.text
    finally:
        meter.close()
