"""Slow instruments flown like a card: rhythm, host times, lost beats, the background lane."""

import asyncio
import time

import h5py
import numpy as np
import pytest
from ophyd_async.core import TriggerInfo, init_devices, soft_signal_rw
from parts import until
from rows import collect, path_of

from rdaq_ophyd.capabilities import Capability, capabilities
from rdaq_ophyd.devices.newport_1830c import AnalogFilter, Newport1830C
from rdaq_ophyd.errors import CardError, ReplyTimeout
from rdaq_ophyd.link import Lane
from rdaq_ophyd.samples import (
    AnalogDriver,
    Coupling,
    InputRange,
    PolledDriver,
    PolledSamples,
    column_path,
    samples_path,
)
from rdaq_ophyd.sim import Faults, SimNewport1830C, serve_pty


def file_of(docs):
    return h5py.File(path_of(docs))


async def fly(device, blocks):
    await device.stage()
    await device.prepare(TriggerInfo(number_of_events=blocks))
    described = await device.describe_collect()
    await device.kickoff()
    await device.complete()
    docs = await collect(device)
    await device.unstage()
    return described, docs


class Slow:
    """A signal that takes its time, and tells how often it was asked."""

    def __init__(self):
        self.asked, self.delay, self.fail = 0, 0.0, ()
        self.signal = soft_signal_rw(float, 0.0, units="mbar", name="gauge", getter=self.get)

    async def get(self):
        self.asked += 1
        if self.asked in self.fail:
            raise ReplyTimeout("gauge: no answer")
        await asyncio.sleep(self.delay)
        return float(self.asked)


@pytest.fixture
async def slow():
    made = Slow()
    await made.signal.connect()
    return made


@pytest.fixture
async def gauge(slow, paths):
    made = PolledSamples({"pressure": slow.signal}, paths, "gauge", rate=100.0, samples=10)
    await made.connect()
    slow.asked = 0
    yield made
    await made.close()


async def test_readings_in_rhythm_with_their_host_times(gauge, slow):
    assert Capability.BLOCK_PRODUCER in capabilities(gauge)
    assert isinstance(gauge.driver, AnalogDriver)
    before = time.time()
    described, docs = await fly(gauge, 3)
    assert described["gauge-pressure"]["units"] == "mbar"
    assert described["gauge-host_time"]["units"] == "s"
    assert described["gauge-pressure"]["dtype_numpy"] == "<f8"
    with file_of(docs) as file:
        pressure, when, half = (file[samples_path(n)][:].ravel() for n in ("pressure", "host_time", "uncertainty"))
        kept = ~np.isnan(pressure)
        assert pressure.shape == (30,)
        assert file[column_path("lost_samples")][:].sum() == (~kept).sum() == await gauge.samples_lost.get_value()
        assert np.array_equal(pressure[kept], np.arange(1, kept.sum() + 1))
        assert np.all((when[kept] > before) & (when[kept] < time.time()))
        beats, times = np.arange(30)[kept], when[kept]
        assert np.all(np.diff(times) > 0)
        assert times[-1] - times[0] > 0.01 * (beats[-1] - beats[0]) - 0.1, "the rhythm does not drift"
        assert np.all((half[kept] >= 0) & (half[kept] < 1))
    await until(lambda: not gauge._pipeline.acquiring)
    asked = slow.asked
    await asyncio.sleep(0.03)
    assert slow.asked <= asked + 1, "polling has ended"


async def test_beats_that_pass_meanwhile_are_lost_and_counted(gauge, slow):
    slow.delay = 0.025
    _, docs = await fly(gauge, 2)
    with file_of(docs) as file:
        pressure = file[samples_path("pressure")][:].ravel()
        assert np.isnan(pressure).sum() == file[column_path("lost_samples")][:].sum() >= 12
        assert np.all(file[samples_path("uncertainty")][:].ravel()[~np.isnan(pressure)] >= 0.012)


async def test_readings_that_fail_are_lost_and_told_once(gauge, slow, caplog):
    slow.fail = range(3, 7)
    _, docs = await fly(gauge, 2)
    with file_of(docs) as file:
        pressure = file[samples_path("pressure")][:].ravel()
        assert not set(pressure[~np.isnan(pressure)]) & {3.0, 4.0, 5.0, 6.0}
        assert np.isnan(pressure).sum() >= 4
    assert caplog.text.count("gauge: a reading failed, its sample is lost: gauge: no answer") == 1


async def test_an_error_that_is_no_instruments_reaches_the_status(gauge, slow):
    async def broken():
        raise ZeroDivisionError("a mistake in a driver")

    await gauge.stage()
    await gauge.prepare(TriggerInfo(number_of_events=5))
    gauge.driver._row = broken
    await gauge.kickoff()
    with pytest.raises(CardError, match="a mistake in a driver"):
        await gauge.complete()
    await gauge.unstage()


async def test_a_step_reads_the_mean_of_a_block(gauge):
    await gauge.stage()
    await gauge.trigger()
    reading = await gauge.read()
    await collect(gauge)
    await gauge.unstage()
    assert reading["gauge-pressure-min"]["value"] == 1.0
    assert reading["gauge-pressure-mean"]["value"] > 1.0


async def test_what_it_does_not_have_it_refuses(slow):
    driver = PolledDriver({"pressure": slow.signal}, 10.0, "gauge")
    with pytest.raises(CardError, match="is not connected"):
        driver.arm(1, 1, min(driver.triggers()))
    for refused in (
        lambda: driver.set_range("pressure", InputRange(0, 1)),
        lambda: driver.set_coupling("pressure", Coupling.AC),
        driver.fire,
    ):
        with pytest.raises(CardError):
            refused()
    driver.close()


@pytest.fixture
def meter_port():
    with serve_pty(SimNewport1830C(lambda _: 2.5e-3, noise=0.0), lift_baud=True) as served:
        yield served


@pytest.fixture
async def meter(meter_port):
    async with init_devices():
        meter = Newport1830C(meter_port.url)
    await meter.filter.set(AnalogFilter.FAST)
    yield meter
    meter.close()


@pytest.fixture
async def power(meter, paths):
    made = PolledSamples({"power": meter.power}, paths, "flown", rate=20.0, samples=4, config=(meter.wavelength,))
    await made.connect()
    yield made
    await made.close()


async def test_the_power_meter_is_flown_in_the_background_lane(power, meter, monkeypatch):
    lanes, take = [], Newport1830C._take

    async def noting(self, lane):
        lanes.append(lane)
        return await take(self, lane)

    monkeypatch.setattr(Newport1830C, "_take", noting)
    described, docs = await fly(power, 2)
    assert described["flown-power"]["units"] == "W"
    assert (await power.read_configuration())["meter-wavelength"]["value"] == 800.0
    with file_of(docs) as file:
        watts, when = (file[samples_path(n)][:].ravel() for n in ("power", "host_time"))
        kept = ~np.isnan(watts)
        assert watts.shape == (8,)
        assert kept.sum() >= 2
        assert np.allclose(watts[kept], 2.5e-3, rtol=1e-3)
        assert np.all(np.diff(when[kept]) > 0)
        assert file[samples_path("power")].attrs["units"] == "W"
    assert set(lanes) == {Lane.POLL}


async def test_a_triggered_reading_is_not_used_up_by_the_flight(power, meter):
    await meter.trigger()
    kept = meter._triggered
    await fly(power, 1)
    assert meter._triggered is kept


async def test_a_mute_meter_costs_samples_not_the_run(power, meter_port, caplog):
    await power.stage()
    await power.prepare(TriggerInfo(number_of_events=8))
    await power.kickoff()
    status = power.complete()
    await until(lambda: power._pipeline._generation.taken > 1)
    meter_port.faults = Faults(mute=True)
    await until(lambda: "a reading failed" in caplog.text)
    meter_port.faults = Faults()
    await status
    assert 2 <= await power.samples_lost.get_value() < 32
    assert await power.get_index() == 8
    await power.unstage()


async def test_flying_a_mocked_meter(paths):
    async with init_devices(mock=True):
        meter = Newport1830C("/dev/nowhere")
        power = PolledSamples({"power": meter.power}, paths, "flown", rate=100.0, samples=3)
    await power.stage()
    await power.trigger()
    assert (await power.read())["flown-power-mean"]["value"] == pytest.approx(1e-6)
    await power.unstage()
    await power.close()
