"""Pause and resume of an analog input: no block too many, none too few, and every sample where it belongs."""

import asyncio

import h5py
import numpy as np
import pytest
from blocks import EDGES, fly
from bluesky.utils import NoReplayAllowed
from parts import until
from rows import RowPauses, collect_saved, path_of, wait_rows

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.samples import CARD, column_path, samples_path


def check(docs, number, status="complete"):
    """So many blocks; within each arming the samples follow one another from the arming's first one."""
    with h5py.File(path_of(docs)) as file:
        numbers = np.rint(file[samples_path("number")][:] * 1000)
        arms = file[column_path("arm")][:]
        assert numbers.shape == (number, 100)
        assert file["/entry/exit_status"][()] == status.encode()
        for arm in set(arms):
            kept = numbers[arms == arm].ravel()
            assert np.array_equal(kept, np.arange(len(kept)) % 8192)
        index = file[column_path("sample_index")][:]
        assert np.all(np.diff(index) >= 100), "no sample has the number of another"
        return list(arms)


class TestAnalogInput(RowPauses):
    """The same as of every detector of rows."""

    item = "block"

    @pytest.fixture
    def device(self, adc):
        return adc

    def check(self, docs, number, status="complete"):
        return check(docs, number, status)

    def check_parts(self, found, kept):
        assert found == [0] * kept + [1] * (len(found) - kept)


async def test_what_a_pause_throws_away_is_counted_in_samples(adc):
    await adc.stage()
    await adc.prepare(fly(40))
    await adc.kickoff()
    await wait_rows(adc, 5)
    docs = await collect_saved(adc)
    await wait_rows(adc, docs[-1][1]["indices"]["stop"] + 2)
    with pytest.raises(NoReplayAllowed):
        await adc.pause()
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[CARD]["discarded_samples"][()] == await adc.samples_discarded.get_value() >= 200
        assert file[CARD]["lost_samples"][()] == 0


async def test_a_pause_within_a_block_and_the_replayed_trigger(adc):
    await adc.samples.set(100_000)
    await adc.stage()
    old = adc.trigger()
    async with asyncio.timeout(10):
        await until(lambda: adc._pipeline.acquiring)
        await until(lambda: adc._pipeline._generation.taken > 100)
        await adc.pause()
    assert not adc._pipeline.acquiring
    assert 100 < await adc.samples_discarded.get_value() < 100_000
    with pytest.raises(CardError, match="no block to read"):
        await adc.read()
    await adc.resume()
    await adc.unstage()
    await old


async def test_a_replayed_trigger_ends_the_first_one_too(adc):
    await adc.stage()
    await adc.prepare(fly(1, **EDGES))
    old = adc.trigger()
    await until(lambda: adc._awaited)
    await adc.pause()
    assert not adc._pipeline.acquiring
    await adc.resume()
    new = adc.trigger()
    await until(lambda: adc._pipeline.acquiring and adc.driver._shots is not None)
    adc.driver.edge()
    await new
    await old
    docs = await collect_saved(adc)
    await adc.unstage()
    assert check(docs, 1) == [1]


async def test_an_endless_flight_goes_on_after_a_pause(adc):
    await adc.stage()
    await adc.prepare(fly(0))
    await adc.kickoff()
    await wait_rows(adc, 3)
    docs = await collect_saved(adc)
    kept = docs[-1][1]["indices"]["stop"]
    with pytest.raises(NoReplayAllowed):
        await adc.pause()
    await adc.resume()
    await wait_rows(adc, kept + 3)
    await adc.complete()
    total = await adc.get_index()
    await collect_saved(adc)
    await adc.unstage()
    assert check(docs, total) == [0] * kept + [1] * (total - kept)


async def test_edges_after_a_pause_begin_the_blocks_that_are_left(adc):
    await adc.stage()
    await adc.prepare(fly(4, **EDGES))
    await adc.kickoff()
    adc.driver.edge()
    await wait_rows(adc, 1)
    docs = await collect_saved(adc)
    with pytest.raises(NoReplayAllowed):
        await adc.pause()
    adc.driver.edge()
    assert adc.driver.ignored == 1, "nobody waits for it"
    await adc.resume()
    status = adc.complete()
    for done in (2, 3, 4):
        adc.driver.edge()
        await wait_rows(adc, done)
    await status
    docs += await collect_saved(adc)
    await adc.unstage()
    assert check(docs, 4) == [0, 1, 1, 1]
