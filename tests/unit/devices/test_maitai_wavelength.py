"""Tuning a Mai Tai: done when it is there, ended by a stop, refused out of range."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator

import pytest
from connected import connected
from lasers import quick_laser
from parts import until

from rdaq_ophyd.devices import _maitai_wavelength
from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.errors import InstrumentError, LimitError, MoveInterrupted, MoveTimeout
from rdaq_ophyd.sim import Port, SimMaiTai, serve_pty
from rdaq_ophyd.sim._maitai_words import EXECUTION_ERROR, Call, Refused
from rdaq_ophyd.sim.maitai import _COMMANDS


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The actual wavelength is asked for more often than a laser needs it."""
    monkeypatch.setattr(_maitai_wavelength, "POLL", 0.01)


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(quick_laser(), lift_baud=True) as served:
        yield served


@pytest.fixture
async def laser(port: Port) -> AsyncIterator[MaiTai]:
    async with connected(MaiTai(port.url, "laser")) as laser:
        yield laser


def commanded(port: Port) -> int:
    return port.log.bytes().count(b"WAVelength 9")


async def test_a_set_ends_when_the_head_is_there(laser: MaiTai, port: Port):
    port.instrument.tuning = 200.0
    seen: list[float] = []
    status = laser.wavelength.set(900)
    status.watch(lambda **update: seen.append(update["current"]))
    await status
    assert port.call(lambda now: port.instrument.wavelength) == 900.0
    assert seen[0] < 900 and seen[-1] == 900  # noqa: PT018  on its way, and there
    assert await laser.wavelength.locate() == {"setpoint": 900.0, "readback": 900.0}
    assert commanded(port) == 1


@pytest.mark.parametrize(("asked", "whole"), [(852.4, 852), (852.6, 853), (689.6, 690), (1040.4, 1040)])
async def test_targets_are_whole_nanometres(laser: MaiTai, asked: float, whole: int):
    await laser.wavelength.set(asked)
    assert await laser.wavelength.setpoint.get_value() == whole


@pytest.mark.parametrize("bad", [689.0, 1041.0, math.nan, math.inf])
async def test_what_the_head_cannot_do_is_refused(laser: MaiTai, port: Port, bad: float):
    for attempt in (laser.wavelength.set, laser.wavelength.check_value, laser.wavelength.setpoint.set):
        with pytest.raises(LimitError):
            await attempt(bad)
    assert b"WAVelength " not in port.log.bytes().replace(b"WAVelength:", b"")


async def test_limits_are_asked_from_the_head_and_tightened_by_the_profile():
    with serve_pty(quick_laser(wavelengths=(710, 920)), lift_baud=True) as port:
        laser = MaiTai(port.url, "laser", limits=(700, 900))
        await laser.connect()
        for bad, good in ((709, 710), (901, 900)):
            with pytest.raises(LimitError, match="allowed: 710 to 900 nm"):
                await laser.wavelength.set(bad)
            await laser.wavelength.set(good)
        described = (await laser.wavelength.readback.describe())["laser-wavelength"]
        assert described["limits"]["control"] == {"low": 710, "high": 900}
        laser.close()


async def test_a_head_that_does_not_get_there(port: Port):
    laser = MaiTai(port.url, "laser", tuning_timeout=0.3)
    await laser.connect()
    port.instrument.tuning = 1.0
    with pytest.raises(
        MoveTimeout, match=r"laser-wavelength: at 800 nm, not at 900 nm \(tolerance 1 nm\) → is the laser"
    ):
        await laser.wavelength.set(900)
    assert commanded(port) == 1
    laser.close()


async def test_the_tolerance_decides(port: Port):
    laser = MaiTai(port.url, "laser", tolerance=30.0)
    await laser.connect()
    port.instrument.tuning = 1.0
    await laser.wavelength.set(825)  # slower than two equal readings
    assert await laser.wavelength.readback.get_value() < 802
    laser.close()


@pytest.mark.parametrize("success", [False, True])
@pytest.mark.parametrize("whole", [False, True])
async def test_a_stop_ends_the_wait_at_once_and_sends_nothing(laser: MaiTai, port: Port, success: bool, whole: bool):
    port.instrument.tuning = 20.0
    status = laser.wavelength.set(1000)
    await until(lambda: b"WAVelength 1000" in port.log.bytes())
    sent = port.log.bytes()
    started = asyncio.get_running_loop().time()
    await (laser if whole else laser.wavelength).stop(success)
    assert asyncio.get_running_loop().time() - started < 1.0
    assert status.done
    if success:
        await status
    else:
        with pytest.raises(MoveInterrupted, match="told to stop on its way to 1000 nm → a head that was told"):
            await status
    await laser.stop()
    new = port.log.bytes()[len(sent) :]
    assert b"WAVelength 8" not in new
    assert b"SHUTter 0" not in new
    # The head tunes on, as its stop capability says.
    port.instrument.tuning = 2000.0
    await until(lambda: port.call(lambda now: port.instrument.wavelength) == 1000.0)
    await laser.wavelength.set(900)


async def test_a_stop_before_the_first_byte_sends_nothing(laser: MaiTai, port: Port):
    status = laser.wavelength.set(950)
    await laser.wavelength.stop()
    with pytest.raises(MoveInterrupted):
        await status
    assert commanded(port) == 0


async def test_a_stop_from_another_thread_ends_it(laser: MaiTai, port: Port):
    port.instrument.tuning = 20.0
    status = laser.wavelength.set(950)
    await until(lambda: commanded(port) == 1)
    await asyncio.to_thread(laser.note_stop)
    with pytest.raises(MoveInterrupted):
        await status


async def test_a_refusal_of_the_laser_ends_it(laser: MaiTai, monkeypatch: pytest.MonkeyPatch):
    def refuse(sim: SimMaiTai, call: Call) -> None:
        raise Refused(EXECUTION_ERROR)

    monkeypatch.setitem(_COMMANDS, ("WAVELENGTH",), refuse)
    with pytest.raises(InstrumentError, match="cannot be carried out now, after 'WAVelength 900'"):
        await laser.wavelength.set(900)


async def test_somebody_else_tunes_meanwhile(laser: MaiTai, port: Port):
    def tuned_elsewhere(now: float) -> None:
        port.instrument.commanded = 851.0

    port.instrument.tuning = 100.0
    status = laser.wavelength.set(850)
    await until(lambda: b"WAVelength 850" in port.log.bytes())
    port.call(tuned_elsewhere)
    with pytest.raises(MoveInterrupted, match="was to tune to 850 nm, but was told 851 nm meanwhile"):
        await status
