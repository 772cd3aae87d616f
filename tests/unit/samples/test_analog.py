"""An analog input as a detector: what it describes, reads, records, refuses, and how it stops."""

import asyncio
import math

import h5py
import numpy as np
import pytest
from blocks import EDGES, fly, numbers_in
from ophyd_async.core import DetectorTrigger, TriggerInfo
from parts import until
from rows import collect, path_of, wait_rows

from rdaq_ophyd.capabilities import Capability, TimedDetector, capabilities, stop_capability
from rdaq_ophyd.devices.sim_analog import SimAnalogCard, SimAnalogInput, SimInput
from rdaq_ophyd.errors import (
    CardError,
    DataDirectoryError,
    LimitError,
    UnknownName,
)
from rdaq_ophyd.samples import (
    CARD,
    AnalogInput,
    Calibration,
    Coupling,
    StartTrigger,
    column_path,
    samples_path,
    statistic_path,
)


async def test_capabilities(adc):
    found = capabilities(adc)
    assert {Capability.BLOCK_PRODUCER, Capability.FLYABLE, Capability.STOPPABLE, Capability.PAUSABLE} <= found
    assert "block in progress" in stop_capability(adc).note


async def test_configuration_has_rate_samples_and_what_each_channel_is_set_to(adc):
    values = {key: reading["value"] for key, reading in (await adc.read_configuration()).items()}
    assert values["adc-rate"] == 10_000.0
    assert values["adc-samples"] == 100
    assert values["adc-model"] == "Simulated 2x16 bit"
    assert values["adc-wave-range"] == 10.0
    assert values["adc-wave-coupling"] == "DC"
    assert (values["adc-wave-scale"], values["adc-wave-offset"], values["adc-wave-units"]) == (1.0, 0.0, "V")
    described = await adc.describe_configuration()
    assert described["adc-rate"]["units"] == "Hz"
    assert described["adc-wave-coupling"]["choices"] == ["DC", "AC", "ground"]


async def test_one_step(adc):
    await adc.stage()
    await adc.trigger()
    described = await adc.describe()
    assert described["adc-wave"]["shape"] == [100]
    assert described["adc-wave"]["external"] == "STREAM:"
    assert described["adc-wave"]["units"] == described["adc-wave-std"]["units"] == "V"
    assert "external" not in described["adc-wave-mean"]
    assert adc.hints == {"fields": ["adc-number-mean", "adc-wave-mean"]}
    reading = await adc.read()
    assert set(reading) == {k for k, d in described.items() if "external" not in d}
    docs = await collect(adc)
    assert [name for name, _ in docs] == ["stream_resource"] * 2 + ["stream_datum"] * 2
    assert await collect(adc) == []
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        assert list(numbers_in(file)[0]) == list(range(100))
        wave = file[samples_path("wave")][0].astype(float)
        found = [reading[f"adc-wave-{name}"]["value"] for name in ("mean", "std", "min", "max")]
        assert found == pytest.approx([wave.mean(), wave.std(), wave.min(), wave.max()])
        assert found[:2] == pytest.approx([1.0, math.sqrt(2)], abs=1e-3), "ten whole periods of 2 V about 1 V"
        assert file[statistic_path("wave", "std")][0] == found[1]
        assert reading["adc-start"]["value"] == file[column_path("timestamps")][0]
        assert reading["adc-lost"]["value"] == 0


@pytest.mark.parametrize("number", [1, 2, 30])
async def test_a_flight_streams_every_sample_of_every_channel(adc, number):
    await adc.stage()
    await adc.prepare(fly(number))
    described = await adc.describe_collect()
    assert set(described) == {"adc-number", "adc-wave", "adc-start", "adc-lost"}
    assert {d["external"] for d in described.values()} == {"STREAM:"}
    assert adc.hints == {"fields": []}
    await adc.kickoff()
    seen = []
    status = adc.complete()
    status.watch(lambda **update: seen.append((update["current"], update["target"])))
    await status
    assert seen[-1] == (number, number)
    assert await adc.get_index() == number
    docs = await collect(adc)
    datums = [d for name, d in docs if name == "stream_datum"]
    assert {(d["indices"]["start"], d["indices"]["stop"]) for d in datums} == {(0, number)}
    assert len(datums) == 4
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        assert list(numbers_in(file).ravel()) == [n % 8192 for n in range(100 * number)]
        assert list(file[column_path("sample_index")]) == list(range(0, 100 * number, 100))
        if number > 2:
            assert np.median(np.diff(file[column_path("timestamps")])) == pytest.approx(0.01, abs=1e-3)
        assert np.all(file[column_path("arrival_times")][:] >= file[column_path("timestamps")][:])
        assert file["/entry/exit_status"][()] == b"complete"


async def test_an_endless_flight_is_ended_by_complete_and_is_complete(adc):
    await adc.stage()
    await adc.prepare(fly(0))
    await adc.kickoff()
    await wait_rows(adc, 5)
    await adc.complete()
    docs = await collect(adc)
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        rows = file[samples_path("wave")].shape[0]
        assert rows >= 5
        assert list(numbers_in(file).ravel()) == [n % 8192 for n in range(100 * rows)]
        assert file["/entry/exit_status"][()] == b"complete"
        assert file[CARD]["discarded_samples"][()] < 100 * (rows + 1), "what did not fill a block, or came too late"


async def test_the_length_of_a_block_is_the_plans_livetime(adc):
    await adc.stage()
    await adc.prepare(fly(3, livetime=0.025))
    assert await adc.samples.get_value() == 250
    assert await adc.block_length() == 0.025
    assert [await adc.blocks_in(seconds) for seconds in (0.001, 0.075, 0.0751)] == [1, 3, 4]
    with pytest.raises(CardError, match="unstage the analog input before"):
        await adc.prepare(fly(3, livetime=0.05))
    await adc.unstage()


async def test_an_edge_begins_each_block(adc):
    await adc.stage()
    await adc.prepare(fly(3, **EDGES))
    assert adc._pipeline.acquiring, "armed when prepared"
    adc.driver.edge()  # an edge before the kick-off is not lost
    await wait_rows(adc, 1)
    await adc.kickoff()
    status = adc.complete()
    for done in (2, 3):
        adc.driver.edge()
        await wait_rows(adc, done)
    await status
    docs = await collect(adc)
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        assert list(numbers_in(file).ravel()) == list(range(300))
        assert np.all(np.diff(file[column_path("timestamps")]) > 0.0099)


async def test_one_arming_for_edges_serves_several_flights(adc):
    await adc.stage()
    await adc.prepare(fly(3, **EDGES))
    for count, total in ((1, 1), (2, 3)):
        await adc.events_to_kickoff.set(count)
        await adc.kickoff()
        status = adc.complete()
        for _ in range(count):
            adc.driver.edge()
            await wait_rows(adc, adc._pipeline.rows + 1)
        await status
        assert await adc.get_index() == total
    assert not adc._pipeline.acquiring
    await adc.unstage()


async def test_a_step_with_edges(adc):
    await adc.stage()
    await adc.prepare(fly(1, **EDGES))
    for row in range(2):  # armed by prepare the first time, by trigger the second
        status = adc.trigger()
        await until(lambda: adc._pipeline.acquiring and adc.driver._shots is not None)
        await until(lambda: edge_taken(adc.driver))
        await status
        assert (await adc.read())["adc-lost"]["value"] == 0
        assert (await collect(adc))[-1][1]["indices"] == {"start": row, "stop": row + 1}
    await adc.unstage()


def edge_taken(card):
    before = card.ignored
    card.edge()
    return card.ignored == before


async def test_edges_in_another_stage_begin_with_the_first_row_of_its_file(adc):
    await adc.stage()
    await adc.prepare(fly(3))
    await adc.kickoff()
    await adc.complete()
    await adc.unstage()
    await adc.rate.set(20_000)
    await adc.stage()
    await adc.prepare(fly(2, **EDGES))
    await adc.kickoff()
    seen = []
    status = adc.complete()
    status.watch(lambda **update: seen.append((update["initial"], update["current"], update["target"])))
    for done in (1, 2):
        adc.driver.edge()
        await wait_rows(adc, done)
    await asyncio.wait_for(status, 10)
    assert seen[-1] == (0, 2, 2)
    docs = await collect(adc)
    assert docs[-1][1]["indices"] == {"start": 0, "stop": 2}
    await adc.prepare(fly(1, **EDGES))  # in the same file it goes on behind them
    await adc.kickoff()
    adc.driver.edge()
    await asyncio.wait_for(adc.complete(), 10)
    assert (await collect(adc))[-1][1]["indices"] == {"start": 2, "stop": 3}
    await adc.unstage()


async def test_a_step_with_an_edge_in_another_stage(adc):
    for _ in range(2):
        await adc.stage()
        await adc.prepare(fly(1, **EDGES))
        status = adc.trigger()
        adc.driver.edge()
        await asyncio.wait_for(status, 10)
        assert (await adc.read())["adc-lost"]["value"] == 0
        await adc.unstage()


async def test_a_calibration_makes_other_units_and_is_recorded(paths):
    adc = SimAnalogInput(
        paths, "adc", inputs={"pd": SimInput(noise=0.0)}, samples=200, calibrations={"pd": Calibration("mW", 3.0, 1.0)}
    )
    await adc.connect()
    await adc.pd.range.set(1.0)
    await adc.pd.offset.set(5.0)
    await adc.stage()
    await adc.trigger()
    reading, described = await adc.read(), await adc.describe()
    assert described["adc-pd"]["units"] == described["adc-pd-max"]["units"] == "mW"
    assert reading["adc-pd-max"]["value"] == pytest.approx(8.0, abs=1e-3)
    assert (await adc.read_configuration())["adc-pd-units"]["value"] == "mW"
    docs = await collect(adc)
    for change in (adc.pd.scale.set(1.0), adc.pd.range.set(10.0), adc.rate.set(100.0), adc.samples.set(7)):
        with pytest.raises(CardError, match="unstage the analog input before"):
            await change
    await adc.unstage()
    await adc.close()
    with h5py.File(path_of(docs)) as file:
        sensor = file["/entry/instrument/pd"]
        assert list(sensor["range"]) == [-1, 1]
        counts = (sensor["value"][0] - sensor["count_offset"][()]) / sensor["count_scale"][()]
        assert np.allclose(counts, np.rint(counts), atol=0.01), "the card's counts can be had again"
        assert counts.max() == pytest.approx(32767, abs=8)


async def test_settings_are_checked_and_name_what_is_allowed(adc):
    for setting, value, words in (
        (adc.rate, 6e5, "1 to 500000 Hz"),
        (adc.rate, math.nan, "finite"),
        (adc.samples, 1, "give 2 to"),
        (adc.samples, 2.5, "a block of 2.5 samples"),
        (adc.samples, 10**8, "give 2 to"),
        (adc.wave.range, 3.0, "it has 10 .for -10 to 10., 5 "),
        (adc.wave.scale, 0.0, "other than 0"),
        (adc.wave.offset, math.inf, "finite"),
    ):
        with pytest.raises(LimitError, match=words):
            await setting.set(value)
    await adc.samples.set(50.0)  # as the shell's %mov gives it
    assert await adc.samples.get_value() == 50
    await adc.rate.set(30_000)
    assert await adc.rate.get_value() == pytest.approx(10e6 / 333)
    await adc.wave.coupling.set(Coupling.GROUND)
    await adc.stage()
    await adc.trigger()
    assert (await adc.read())["adc-wave-max"]["value"] == 0
    await adc.unstage()


def test_names_of_channels_that_cannot_be(paths):
    for name in ("rate", "a b", "card", "start", "_x", "sample_time", "stop"):
        with pytest.raises(CardError, match="cannot be the name of a channel"):
            SimAnalogInput(paths, "adc", inputs={name: SimInput()})
    with pytest.raises(CardError, match="no channel in use"):
        SimAnalogInput(paths, "adc", inputs={})
    with pytest.raises(UnknownName, match="did you mean pd"):
        SimAnalogInput(paths, "adc", inputs={"pd": SimInput()}, calibrations={"pdd": Calibration()})


async def test_what_it_cannot_do_is_refused_in_words(adc):
    await adc.stage()
    for info, words in (
        (fly(2, collections_per_event=2), "number_of_events=n"),
        (TriggerInfo(exposures_per_collection=3), "one block an event"),
        (TriggerInfo(trigger=DetectorTrigger.EXTERNAL_LEVEL), "EXTERNAL_EDGE for a block at each edge"),
        (fly(2, deadtime=0.1, **EDGES), "deadtime=0"),
    ):
        with pytest.raises(CardError, match=words):
            await adc.prepare(info)
    with pytest.raises(CardError, match="is not prepared"):
        await adc.kickoff()
    with pytest.raises(CardError, match="complete without kickoff"):
        await adc.complete()
    with pytest.raises(DataDirectoryError, match="blocks of 100 samples"):
        await adc.prepare(fly(10**12))
    with pytest.raises(LimitError, match="a block of 0 samples"):
        await adc.prepare(fly(1, livetime=1e-6))
    await adc.prepare(fly(3))
    with pytest.raises(CardError, match="prepared for 3 blocks"):
        await adc.trigger()
    await adc.events_to_kickoff.set(4)
    with pytest.raises(CardError, match="4 blocks asked for"):
        await adc.kickoff()
    with pytest.raises(CardError, match="no block to read"):
        await adc.read()
    await adc.unstage()


async def test_a_card_without_trigger_input_says_so(adc, monkeypatch):
    monkeypatch.setattr(SimAnalogCard, "triggers", lambda _: frozenset({StartTrigger.INTERNAL}))
    await adc.stage()
    with pytest.raises(CardError, match="has no external trigger"):
        await adc.prepare(fly(1, **EDGES))
    await adc.trigger()  # by its internal trigger
    await adc.unstage()


async def test_step_and_flight_do_not_share_a_file(adc):
    await adc.stage()
    await adc.trigger()
    await collect(adc)
    await adc.prepare(fly(2))
    with pytest.raises(CardError, match="stage the analog input between"):
        await adc.kickoff()
    await adc.unstage()


async def test_a_trigger_replaces_a_block_that_nobody_read(adc):
    await adc.stage()
    await adc.trigger()
    await adc.trigger()
    docs = await collect(adc)
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[samples_path("wave")].shape == (1, 100)
        assert list(file[column_path("arm")]) == [1]
        assert list(file[column_path("sample_index")]) == [100]
        assert file[CARD]["discarded_samples"][()] == 100


async def test_mock_mode_takes_blocks_without_hardware(paths):
    mock = AnalogInput(SimAnalogCard({"pd": SimInput()}, rate=20_000.0), paths, "adc", samples=50)
    await mock.connect(mock=True)
    assert mock._pipeline.driver.label == "mock adc"
    await mock.stage()
    await mock.trigger()
    assert (await mock.read())["adc-pd-std"]["value"] > 0
    await mock.unstage()
    await mock.close()


async def test_between_blocks_nothing_is_kept_for_the_deadtime(adc):
    adc.driver.lose(130)
    await adc.stage()
    await adc.prepare(fly(5, livetime=0.005, deadtime=0.015))
    await adc.kickoff()
    await adc.complete()
    times = adc.exposure_times
    docs = await collect(adc)
    await adc.unstage()
    assert not len(adc.exposure_times)
    with h5py.File(path_of(docs)) as file:
        numbers = numbers_in(file)
        assert np.isnan(numbers[0]).all()
        for row, block in enumerate(numbers[1:], start=1):
            assert list(block) == list(range(200 * row, 200 * row + 50))
        assert list(file[column_path("sample_index")]) == [0, 200, 400, 600, 800]
        assert list(file[column_path("lost_samples")]) == [50, 0, 0, 0, 0], "the others fell between the blocks"
        assert np.allclose(times, file[column_path("timestamps")][:] + 0.0025, rtol=0, atol=1e-6)
        assert np.median(np.diff(times)) == pytest.approx(0.02, abs=2e-3)


async def test_times_of_blocks_go_with_the_rows(adc):
    assert isinstance(adc, TimedDetector)
    await adc.stage()
    await adc.trigger()
    first = adc.exposure_times
    await adc.trigger()  # nobody read it: it is replaced
    assert len(adc.exposure_times) == 1
    assert adc.exposure_times[0] > first[0]
    await adc.unstage()
