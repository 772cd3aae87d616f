"""A meter that follows a laser: also after sets that failed, were stopped, or went past it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from lasers import quick_laser
from ophyd_async.core import StandardReadable, soft_signal_r_and_setter, soft_signal_rw
from planthread import PlanThread, wait

from rdaq_ophyd.devices import _maitai_wavelength
from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.devices.newport_1830c import AnalogFilter, Newport1830C
from rdaq_ophyd.errors import LimitError, MoveInterrupted, MoveTimeout
from rdaq_ophyd.rig import Rig, _follow
from rdaq_ophyd.sim import Port, SimNewport1830C, serve_pty
from rdaq_ophyd.startup._calibrations import calibrated


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wavelengths are asked for more often than a laser needs it."""
    monkeypatch.setattr(_maitai_wavelength, "POLL", 0.01)
    monkeypatch.setattr(_follow, "POLL", 0.01)


@pytest.fixture
def port() -> Iterator[Port]:
    """A laser that tunes 100 nm in a second."""
    with serve_pty(quick_laser(tuning=100.0), lift_baud=True) as served:
        yield served


@pytest.fixture
def rig(port: Port) -> Iterator[Rig]:
    rig = Rig("lab")
    with serve_pty(SimNewport1830C(1e-3, noise=0.0), lift_baud=True) as served:

        @rig.device
        def laser() -> MaiTai:
            return MaiTai(port.url)

        @rig.device
        def meter() -> Newport1830C:
            return Newport1830C(served.url)

        rig.follow("meter.wavelength", "laser.wavelength")
        yield rig


async def now(rig: Rig) -> tuple[float, float]:
    laser, meter = rig["laser"].wavelength.readback, rig["meter"].wavelength
    return await laser.get_value(cached=False), await meter.get_value(cached=False)


async def seen(rig: Rig, wanted: Callable[[float, float], bool]) -> None:
    """Ask both, which brings neither to the other, until they are as wanted."""
    for _ in range(1000):
        if wanted(*await now(rig)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(await now(rig))


async def together(rig: Rig, nm: float) -> None:
    await seen(rig, lambda laser, meter: laser == meter == nm)


async def under_way(rig: Rig) -> None:
    start, _ = await now(rig)
    await seen(rig, lambda laser, _: abs(laser - start) > 3)


async def test_after_a_stop_the_meter_is_brought_to_where_the_head_tunes_on_to(rig):
    async with rig.running():
        status = rig["laser"].wavelength.set(840.0)
        await under_way(rig)
        await rig["laser"].wavelength.stop()
        with pytest.raises(MoveInterrupted):
            await status
        await together(rig, 840.0)


async def test_also_after_one_that_counts_as_success(rig):
    async with rig.running():
        status = rig["laser"].wavelength.set(840.0)
        await under_way(rig)
        await rig["laser"].wavelength.stop(success=True)
        await status
        await together(rig, 840.0)


async def test_also_after_a_set_that_was_cancelled_or_took_too_long(rig):
    async with rig.running():
        status = rig["laser"].wavelength.set(830.0)
        await under_way(rig)
        status.task.cancel()
        await together(rig, 830.0)
        with pytest.raises(MoveTimeout):
            await rig["laser"].wavelength.set(790.0, 0.1)
        await together(rig, 790.0)


async def test_also_where_the_setpoint_is_written_past_it(rig):
    async with rig.running():
        await rig["laser"].wavelength.setpoint.set(820.0)
        await together(rig, 820.0)


async def test_a_reading_waits_until_both_are_the_same(rig, port):
    """Whatever tuned the laser: here nobody that this process knows of."""
    async with rig.running():
        await rig["meter"].filter.set(AnalogFilter.FAST)
        port.call(lambda at: port.instrument.execute("WAV 830", at))
        await under_way(rig)
        await rig["meter"].trigger()
        assert await now(rig) == (830.0, 830.0)


async def test_a_reading_is_refused_where_they_cannot_be_the_same(rig, port):
    async with rig.running():
        meter, laser = rig["meter"], rig["laser"]
        await laser.wavelength.set(820.0)
        meter.set_metadata(meter.wavelength, limits=(300.0, 825.0))
        with pytest.raises(LimitError) as error:
            await laser.wavelength.set(830.0)
        assert "laser-wavelength was set; meter-wavelength, which follows it, was not" in error.value.__notes__
        with pytest.raises(LimitError) as error:
            await meter.trigger()
        assert "meter-wavelength follows laser-wavelength" in error.value.__notes__[0]
        await laser.wavelength.set(825.0)
        await meter.trigger()


def test_a_run_after_an_abort_records_watts_for_the_lasers_wavelength(rig, port, engine, in_loop):
    rig.build()
    in_loop(rig.connect())
    try:
        moving = PlanThread(engine, bps.mv(rig["laser"].wavelength, 850.0))
        wait(lambda: port.instrument.commanded == 850)
        engine.request_pause()
        moving.end()
        engine.abort()
        told = []
        engine(bp.count([rig["meter"], rig["laser"].wavelength]), lambda name, doc: told.append((name, doc)))
        recorded = next(doc["configuration"]["meter"]["data"] for name, doc in told if name == "descriptor")
        assert recorded["meter-wavelength"] == 850.0
        assert next(doc["data"]["laser-wavelength"] for name, doc in told if name == "event") == 850.0
    finally:
        in_loop(rig.disconnect())
        rig.close()


class Plain(StandardReadable):
    """Something to read, without a trigger."""

    def __init__(self) -> None:
        with self.add_children_as_readables():
            self.power = soft_signal_r_and_setter(float, 1.0)[0]
        self.wavelength = soft_signal_rw(float, 800.0, units="nm", precision=0)
        super().__init__()


async def test_what_has_no_trigger_is_brought_to_it_when_it_is_read():
    meter, laser = Plain(), Plain()
    meter.set_name("meter")
    laser.set_name("laser")
    await meter.connect()
    await laser.connect()
    follow = _follow.Follow(meter.wavelength, laser.wavelength)
    await follow.attach()
    change = laser.wavelength._connector.backend.put  # past the signal's own set
    await change(812.0)
    await meter.read()
    assert await meter.wavelength.get_value() == 812.0
    follow.detach()
    await change(830.0)
    await meter.read()
    assert await meter.wavelength.get_value() == 812.0


def test_a_run_begins_with_both_the_same(rig, port, engine, in_loop, caplog):
    rig.build()
    in_loop(rig.connect())
    engine.preprocessors.append(calibrated(rig))
    meter = rig["meter"]
    try:
        port.call(lambda at: port.instrument.execute("WAV 830", at))
        in_loop(under_way(rig))
        engine(bp.count([]))
        assert in_loop(now(rig)) == (830.0, 830.0)
        meter.set_metadata(meter.wavelength, limits=(300.0, 825.0))
        engine(bps.abs_set(rig["laser"].wavelength.setpoint, 840.0))
        in_loop(seen(rig, lambda laser, _: laser == 840.0))
        caplog.clear()
        engine(bp.count([]))
        assert "meter-wavelength does not agree with laser-wavelength" in caplog.text
    finally:
        in_loop(rig.disconnect())
        rig.close()
