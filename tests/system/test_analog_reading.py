"""Descriptor, file and Tiled agree about an analog input's samples."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.devices.sim_analog import SimAnalogInput
from rdaq_ophyd.plans import record
from rdaq_ophyd.samples import Calibration, column_path, samples_path, statistic_path


@pytest.fixture(scope="module")
def catalog(engine, tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILED_PROFILES", str(path / "tiled-profiles"))
        with EmbeddedCatalog(path) as made:
            token = engine.subscribe(made.spool)
            made.ready()
            yield made
            engine.unsubscribe(token)


@pytest.fixture(scope="module")
def adc(engine, catalog):
    with init_devices():
        adc = SimAnalogInput(
            StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames),
            calibrations={"ai1": Calibration("W", 2.0)},
        )
    engine(bps.mv(adc.samples, 200))
    return adc


@pytest.fixture(scope="module", autouse=True)
def warm(engine, catalog, adc):
    """The first reading opens connections and threads that stay; leave none of that to the tests."""
    (uid,) = engine(bp.count([adc], 1)).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    catalog.c[uid].primary.read()
    catalog.disconnect()


@pytest.fixture(autouse=True)
def no_idle_connections(catalog):
    yield
    catalog.disconnect()


def run(engine, catalog, plan):
    docs = []
    (uid,) = engine(plan, lambda name, document: docs.append((name, document))).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    described = next(d["data_keys"] for name, d in docs if name == "descriptor")
    (uri,) = {d["uri"] for name, d in docs if name == "stream_resource"}
    return described, h5py.File(uri.removeprefix("file://localhost")), catalog.c[uid].primary


@pytest.mark.parametrize("number", [1, 50])
def test_a_record_read_back(engine, catalog, adc, number):
    described, file, stream = run(engine, catalog, record(adc, number * 0.02))
    read = stream.read()
    with file:
        for channel, units in (("ai0", "V"), ("ai1", "W")):
            key, values = f"adc-{channel}", file[samples_path(channel)][:]
            node = stream[key]
            assert values.shape == node.shape == read[key].shape == (number, 200)
            assert described[key]["shape"] == [200]
            assert described[key]["units"] == file[samples_path(channel)].attrs["units"] == units
            assert np.dtype(described[key]["dtype_numpy"]) == values.dtype == node.dtype == read[key].dtype
            assert np.array_equal(read[key].values, values)
            assert np.array_equal(node[number - 1], values[number - 1])
            assert read[key].dims[1] == "adc_sample"
        assert np.array_equal(read["adc-time"].values, file[column_path("timestamps")][:])
        assert np.array_equal(read["adc-lost"].values, np.zeros(number))


def test_a_step_scan_read_back(engine, catalog, adc):
    _, file, stream = run(engine, catalog, bp.count([adc], 3))
    read = stream.read()
    with file:
        assert np.array_equal(read["adc-ai1"].values, file[samples_path("ai1")][:])
        for name in ("mean", "std", "min", "max"):
            assert np.array_equal(read[f"adc-ai1-{name}"].values, file[statistic_path("ai1", name)][:])
        assert np.array_equal(read["adc-time"].values, file[column_path("timestamps")][:])
