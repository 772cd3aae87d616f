"""What goes wrong with an analog input: losses, stops, an unplugged card; what was taken stays, and is told."""

import asyncio
import threading

import h5py
import numpy as np
import pytest
from blocks import EDGES, fly, numbers_in
from parts import until
from rows import collect, path_of, wait_rows

from rdaq_ophyd.errors import AcquisitionInterrupted, CardError, StopLatched
from rdaq_ophyd.rig._loop_target import foreign
from rdaq_ophyd.samples import CARD, column_path, samples_path, statistic_path
from rdaq_ophyd.samples._layout import SampleFile
from rdaq_ophyd.stop import Outcome, pause, stop_all, targets


async def test_lost_samples_are_nan_in_their_place_and_counted_exactly(adc):
    await adc.stage()
    await adc.prepare(fly(8))
    adc.driver.lose(130)
    await adc.kickoff()
    await adc.complete()
    assert await adc.samples_lost.get_value() == adc.driver.lost == 130
    docs = await collect(adc)
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        numbers = numbers_in(file).ravel()
        assert np.isnan(numbers[:130]).all()
        assert list(numbers[130:]) == list(range(130, 800))
        assert list(file[column_path("lost_samples")]) == [100, 30, 0, 0, 0, 0, 0, 0]
        assert np.isnan(file[statistic_path("number", "mean")][0])
        assert file[statistic_path("number", "min")][1] == pytest.approx(0.130, abs=2e-4)
        assert file[CARD]["lost_samples"][()] == 130


@pytest.mark.parametrize("trigger", [{}, EDGES])
async def test_the_last_samples_of_an_arming_may_be_lost_too(adc, trigger):
    await adc.stage()
    await adc.prepare(fly(3, **trigger))
    await adc.kickoff()
    if trigger:
        for number in range(2):
            adc.driver.edge()
            await wait_rows(adc, number + 1)
    adc.driver.lose(1000)
    if trigger:
        adc.driver.edge()
    async with asyncio.timeout(5):
        await adc.complete()
    docs = await collect(adc)
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        numbers, lost = numbers_in(file).ravel(), file[column_path("lost_samples")][:]
        assert len(numbers) == 300
        assert np.isnan(numbers[-30:]).all()
        assert np.isnan(numbers).sum() == lost.sum() == await adc.samples_lost.get_value() == adc.driver.lost


async def test_a_point_that_is_lost_as_a_whole_is_told_at_once(adc):
    await adc.stage()
    await adc.trigger()
    await collect(adc)
    adc.driver.lose(150)
    for lost in (100, 50, 0):
        async with asyncio.timeout(5):
            await adc.trigger()
        reading = await adc.read()
        assert reading["adc-lost"]["value"] == lost
        assert np.isnan(reading["adc-number-mean"]["value"]) == (lost == 100)
        await collect(adc)
    await adc.unstage()


async def test_a_card_that_does_not_tell_of_its_last_samples_is_told_of(adc, monkeypatch):
    take = adc.driver.next_transfer

    def silent(timeout):
        transfer = take(timeout)
        return transfer if transfer is not None and len(transfer.data) else None

    monkeypatch.setattr(adc.driver, "next_transfer", silent)
    await adc.stage()
    await adc.prepare(fly(1000, exposure_timeout=0.1))
    await adc.kickoff()
    await wait_rows(adc, 1)
    adc.driver.lose(100_000)
    with pytest.raises(CardError, match=r"no block within .*\d+ of 100000 samples came: were the others lost\?"):
        await adc.complete()
    await adc.unstage()


async def test_a_writer_that_falls_behind_costs_samples_that_are_counted(adc, monkeypatch):
    gate, append = threading.Event(), SampleFile.append
    monkeypatch.setattr(SampleFile, "append", lambda *a: (gate.wait(10), append(*a))[1])
    monkeypatch.setattr("rdaq_ophyd.samples._pipeline._BUFFERED", 0.0)
    adc.driver.memory = 0.05
    await adc.stage()
    await adc.prepare(fly(30))
    await adc.kickoff()
    await until(lambda: adc._pipeline.sink.ring.free == 0)
    await asyncio.to_thread(threading.Event().wait, 0.15)
    gate.set()
    await adc.complete()
    docs = await collect(adc)
    await adc.unstage()
    lost = await adc.samples_lost.get_value()
    assert lost == adc.driver.lost > 0
    with h5py.File(path_of(docs)) as file:
        numbers = numbers_in(file).ravel()
        assert len(numbers) == 3000
        assert np.isnan(numbers).sum() == lost == file[column_path("lost_samples")][:].sum()
        kept = np.arange(3000)[~np.isnan(numbers)]
        assert np.array_equal(numbers[kept], kept % 8192), "each where it belongs"


@pytest.mark.parametrize("how", ["stop", "halt"])
@pytest.mark.parametrize("trigger", [{}, EDGES])
async def test_stop_from_anywhere_stops_the_card(adc, how, trigger):
    await adc.stage()
    await adc.prepare(fly(10_000, **trigger))
    await adc.kickoff()
    status = adc.complete()
    if not trigger:
        await wait_rows(adc, 2)
    if how == "stop":
        await adc.stop()
    else:
        await asyncio.to_thread(adc.halt)
    async with asyncio.timeout(5):
        with pytest.raises(AcquisitionInterrupted, match="of 10000 blocks"):
            await status
    assert not adc._pipeline.acquiring
    await adc.unstage()
    adc.halt()


async def test_unstage_within_a_block_leaves_a_closed_file_and_ends_the_wait(adc, tmp_path, monkeypatch):
    await adc.stage()
    await adc.trigger()
    await collect(adc)
    monkeypatch.setattr(adc.driver, "fire", lambda: None)  # nothing comes
    status = adc.trigger()
    await until(lambda: adc._pipeline.acquiring)
    async with asyncio.timeout(5):
        await adc.unstage()
        await status
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert file[samples_path("wave")].shape[0] == 1
        assert file["/entry/exit_status"][()] == b"aborted"


async def test_stop_all_stops_it_and_the_latch_refuses_the_next(adc):
    await adc.stage()
    await adc.prepare(fly(10_000))
    await adc.kickoff()
    status = adc.complete()
    await wait_rows(adc, 1)
    report = await asyncio.to_thread(stop_all, "smoke")
    (verdict,) = (v for v in report.verdicts if v.device == "adc")
    assert verdict.outcome is Outcome.CONFIRMED
    with pytest.raises(AcquisitionInterrupted):
        await status
    with pytest.raises(StopLatched):
        await adc.kickoff()
    await adc.unstage()


async def test_nothing_is_sampled_while_a_plan_is_paused(adc):
    await adc.stage()
    await adc.prepare(fly(5))
    pause.set()
    try:
        with pytest.raises(AcquisitionInterrupted, match="while a plan is paused"):
            await adc.kickoff()
    finally:
        pause.clear()
    await adc.unstage()


async def test_no_block_in_time_is_told(adc):
    await adc.stage()
    await adc.prepare(fly(1, exposure_timeout=0.05, **EDGES))
    with pytest.raises(CardError, match=r"no block within 0\.06 s \(0 of 1 written\)"):
        await adc.trigger()
    await adc.unstage()


async def test_an_unplugged_card_fails_the_status_and_keeps_the_blocks(adc, tmp_path):
    await adc.stage()
    await adc.prepare(fly(1000))
    await adc.kickoff()
    await wait_rows(adc, 3)
    adc.driver.fail(OSError("device removed"))
    with pytest.raises(CardError, match="adc: device removed → check cable"):
        await adc.complete()
    await adc.unstage()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        rows = file[samples_path("wave")].shape[0]
        assert rows >= 3
        assert list(numbers_in(file).ravel()) == [n % 8192 for n in range(100 * rows)]


async def test_a_card_that_cannot_be_armed_says_so_at_the_kickoff(adc, monkeypatch):
    def arm(*_):
        raise CardError("adc: in use by another program")

    await adc.stage()
    await adc.prepare(fly(3))
    monkeypatch.setattr(adc.driver, "arm", arm)
    with pytest.raises(CardError, match="in use by another program"):
        await adc.kickoff()
    await adc.unstage()


async def test_a_flight_after_a_stop_begins_after_what_still_waited_for_the_disk(adc, monkeypatch):
    gate, append = threading.Event(), SampleFile.append
    monkeypatch.setattr(SampleFile, "append", lambda *a: (gate.wait(10), append(*a))[1])
    await adc.stage()
    await adc.prepare(fly(1000))
    await adc.kickoff()
    await until(lambda: adc._pipeline._generation.delivered >= 3)
    await adc.stop()
    kept = adc._pipeline._handed
    assert adc._pipeline.rows == 0
    gate.set()
    await adc.events_to_kickoff.set(5)
    await adc.kickoff()
    await adc.complete()
    docs = await collect(adc)
    assert docs[-1][1]["indices"] == {"start": 0, "stop": kept + 5}
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        assert list(file[column_path("arm")]) == [0] * kept + [1] * 5


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_lost_whenever_every_sample_is_where_it_belongs(adc, seed):
    random = np.random.default_rng(seed)
    adc.driver.jitter = 0.004
    await adc.stage()
    await adc.prepare(fly(40))
    await adc.kickoff()
    status = adc.complete()
    for lost in random.integers(1, 400, 6):
        adc.driver.lose(int(lost))
        await asyncio.sleep(random.uniform(0.0, 0.06))
    await status
    docs = await collect(adc)
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        numbers = numbers_in(file)
        assert numbers.shape == (40, 100)
        kept = ~np.isnan(numbers.ravel())
        assert np.array_equal(numbers.ravel()[kept], np.arange(4000)[kept] % 8192)
        assert np.array_equal(file[column_path("lost_samples")][:], np.isnan(numbers).sum(axis=1))
        assert file[CARD]["lost_samples"][()] == await adc.samples_lost.get_value() == (~kept).sum() > 0


async def test_a_rig_leaves_its_stop_to_its_own_target(adc):
    assert list(foreign([adc])) == []
    assert any("adc" in target.devices() for target in targets())
