"""A run made of a file alone has the data keys that its device's own documents have."""

import json
import math

import h5py
import numpy as np
import pytest
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.catalog import data_layout
from rdaq_ophyd.catalog._from_files import record_orphans
from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput, Sine
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.samples import Calibration

BLOCKS = 4


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path / "data").prepare()


@pytest.fixture(params=["cam", "adc", "number"])
async def device(request, layout):
    paths = StaticPathProvider(UUIDFilenameProvider(), layout.frames)
    if request.param == "cam":
        made = SyntheticCamera(paths, "cam", width=16, height=8)
    else:  # the second has channels that are called as the statistics of a block are, and as its times
        names = ("ai0", "ai1") if request.param == "adc" else ("mean", "arm_in")
        inputs = {names[0]: SimInput(Counter()), names[1]: SimInput(Sine(100.0, 1.0))}
        calibrations = {names[1]: Calibration("W", 2.0, 0.5)}
        made = SimAnalogInput(paths, request.param, inputs=inputs, calibrations=calibrations, samples=50)
    await made.connect()
    yield made
    await made.close()


async def flown(device):
    """Take a few frames or blocks; how they were described, and by key where they are."""
    await device.stage()
    await device.prepare(TriggerInfo(number_of_events=BLOCKS, livetime=0.005))
    await device.kickoff()
    await device.complete()
    described = await device.describe_collect()
    docs = [document async for document in device.collect_asset_docs()]
    await device.unstage()
    return described, {d["data_key"]: d for name, d in docs if name == "stream_resource"}


def recorded(layout):
    (line,) = record_orphans(layout)
    assert "made from the file alone" in line
    (path,) = layout.spool.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


async def test_keys_are_those_of_the_device(device, layout):
    described, resources = await flown(device)
    documents = recorded(layout)
    (descriptor,) = [d for name, d in documents if name == "descriptor"]
    assert {name: set(keys) for name, keys in descriptor["object_keys"].items()} == {
        device.name: set(descriptor["data_keys"])
    }
    made = {d["data_key"]: d for name, d in documents if name == "stream_resource"}
    assert set(resources) == set(described) <= set(made)
    for key, data_key in described.items():
        for name in ("shape", "dtype", "dtype_numpy", "units", "dims", "external"):
            assert descriptor["data_keys"][key].get(name) == data_key.get(name), (key, name)
        assert made[key]["uri"] == resources[key]["uri"]
        assert made[key]["parameters"]["dataset"] == resources[key]["parameters"]["dataset"]
        assert made[key]["parameters"]["chunk_shape"] == list(resources[key]["parameters"]["chunk_shape"])
    assert {d["indices"]["stop"] for name, d in documents if name == "stream_datum"} == {BLOCKS}


@pytest.mark.parametrize("device", ["adc"], indirect=True)
async def test_facts_of_a_card_and_its_channels(device, layout):
    await flown(device)
    documents = recorded(layout)
    start, descriptor = documents[0][1], documents[1][1]
    about = start["rdaq_from_file"]
    assert start["detectors"] == ["adc"]
    assert about["name"] == "adc"
    assert about["sample_rate"] > 0
    assert about["lost_samples"] == 0
    assert set(about["channels"]) == {"ai0", "ai1"}
    assert about["channels"]["ai1"]["calibration_scale"] == 2.0
    assert "mean" not in about["channels"]["ai1"], "that is data"
    statistics = {f"adc-{c}-{s}" for c in ("ai0", "ai1") for s in ("mean", "std", "min", "max")}
    times = {"adc-start", "adc-lost", "adc-arrival_times", "adc-sample_index", "adc-arm"}
    assert set(descriptor["data_keys"]) == {"adc-ai0", "adc-ai1", *statistics, *times}
    assert descriptor["data_keys"]["adc-ai1-mean"]["units"] == "W"
    assert set(descriptor["hints"]["adc"]["fields"]) == {"adc-ai0-mean", "adc-ai0-max", "adc-ai1-mean", "adc-ai1-max"}


@pytest.mark.parametrize("device", ["adc"], indirect=True)
async def test_each_key_leads_to_its_own_numbers(device, layout):
    await flown(device)
    where = {d["data_key"]: d["parameters"]["dataset"] for n, d in recorded(layout) if n == "stream_resource"}
    (path,) = layout.frames.glob("*.h5")
    with h5py.File(path) as file:
        for channel in ("ai0", "ai1"):
            values = file[where[f"adc-{channel}"]][:]
            assert np.allclose(file[where[f"adc-{channel}-mean"]][:], values.mean(axis=1), rtol=1e-5, atol=1e-6)
            assert np.allclose(file[where[f"adc-{channel}-max"]][:], values.max(axis=1))
        assert np.all(np.diff(file[where["adc-start"]][:]) > 0)
        assert math.isclose(file[where["adc-lost"]][:].sum(), 0)
