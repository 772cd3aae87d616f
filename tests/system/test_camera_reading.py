"""Descriptor, file and Tiled agree about a camera's frames and an analog input's blocks; others read a growing file."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.devices.sim_analog import SimAnalogInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import DATA, PixelFormat, column_path, sequence_of
from rdaq_ophyd.plans import record
from rdaq_ophyd.samples import Calibration, samples_path, statistic_path
from rdaq_ophyd.samples import column_path as block_path

SHAPE = (24, 40)


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
def cam(engine, catalog):
    with init_devices():
        cam = SyntheticCamera(
            StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames), width=SHAPE[1], height=SHAPE[0]
        )
    engine(bps.mv(cam.exposure, 0.004))
    return cam


@pytest.fixture(scope="module", autouse=True)
def warm(engine, catalog, cam):
    """The first reading opens connections and threads that stay; leave none of that to the tests."""
    (uid,) = engine(bp.count([cam], 1)).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    catalog.c[uid].primary.read()
    catalog.disconnect()


@pytest.fixture(autouse=True)
def no_idle_connections(catalog):
    yield
    catalog.disconnect()


def flight(cam, number):
    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=number, livetime=0.004), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from bps.collect_while_completing([cam], [cam], flush_period=0.05, stream_name="primary")

    return plan()


PLANS = {
    "step 5": lambda cam: bp.count([cam], 5),
    "step 1": lambda cam: bp.count([cam], 1),
    "fly 50": lambda cam: flight(cam, 50),
    "fly 1": lambda cam: flight(cam, 1),
}


@pytest.mark.parametrize(
    ("kind", "pixel_format"), [*((kind, PixelFormat.MONO16) for kind in PLANS), ("fly 50", PixelFormat.MONO8)]
)
def test_descriptor_file_and_tiled_agree(engine, catalog, cam, kind, pixel_format):
    number = int(kind.split()[1])
    docs = []
    engine(bps.mv(cam.pixel_format, pixel_format))
    (uid,) = engine(PLANS[kind](cam), lambda name, document: docs.append((name, document))).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    described = next(d["data_keys"] for name, d in docs if name == "descriptor")
    (uri,) = {d["uri"] for name, d in docs if name == "stream_resource"}
    stream = catalog.c[uid].primary
    read = stream.read()
    with h5py.File(uri.removeprefix("file://localhost")) as file:
        frames = file[DATA][:]
        node = stream["cam"]
        assert frames.shape == node.shape == read["cam"].shape == (number, *SHAPE)
        assert list(described["cam"]["shape"]) == list(SHAPE)
        assert node.chunks[0] == (1,) * number
        assert np.dtype(described["cam"]["dtype_numpy"]) == frames.dtype == node.dtype == read["cam"].dtype
        assert np.array_equal(read["cam"].values, frames)
        assert np.array_equal(node[number - 1], frames[number - 1])
        for name in ("mean", "max", "sum"):
            key = f"cam-{name}"
            column = file[column_path(name)][:]
            assert column.shape == read[key].shape == (number,)
            assert np.array_equal(read[key].values, column)
            assert np.dtype(described[key]["dtype_numpy"]) == column.dtype
        assert np.array_equal(file[column_path("mean")][:], frames.mean(axis=(1, 2)))


READER = """
    import sys, h5py
    from rdaq_ophyd.frames import DATA, column_path, sequence_of
    with h5py.File(sys.argv[1], "r", libver="latest", swmr=True) as file:
        for line in sys.stdin:
            rows = int(line)
            for name in (DATA, column_path("sequence_numbers")):
                file[name].id.refresh()
            assert file[DATA].shape[0] >= rows, (file[DATA].shape, rows)
            assert sequence_of(file[DATA][rows - 1]) > 0 or rows == 1
            print(file[DATA].shape[0], flush=True)
"""


def test_another_process_reads_every_frame_once_it_was_announced(engine, cam):
    """The child reads the growing file at each stream datum: what a document tells of is readable."""
    child = None
    answers = []

    def on_document(name, document):
        nonlocal child
        if name == "stream_resource" and document["data_key"] == "cam":
            path = document["uri"].removeprefix("file://localhost")
            child = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(READER), path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        elif name == "stream_datum" and child is not None:
            child.stdin.write(f"{document['indices']['stop']}\n")
            child.stdin.flush()
            answers.append((document["indices"]["stop"], int(child.stdout.readline())))

    try:
        engine(flight(cam, 200), on_document)
    finally:
        child.stdin.close()
        assert child.wait(30) == 0
        child.stdout.close()
    assert len({rows for rows, _ in answers}) > 1, "the file was read while it grew"
    assert all(seen >= told for told, seen in answers)
    assert answers[-1][0] == 200


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump (Debian package hdf5-tools) is not installed")
def test_h5dump_opens_the_closed_file(engine, cam):
    docs = []
    engine(bp.count([cam], 2), lambda name, document: docs.append((name, document)))
    path = Path(next(d["uri"] for name, d in docs if name == "stream_resource").removeprefix("file://localhost"))
    done = subprocess.run(["h5dump", "-H", str(path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "NX_class" in done.stdout
    assert f"( 2, {SHAPE[0]}, {SHAPE[1]} )" in done.stdout
    values = subprocess.run(
        ["h5dump", "-d", column_path("count_time"), str(path)], capture_output=True, text=True, timeout=30
    )
    assert "0.004, 0.004" in values.stdout


def test_frames_of_a_run_are_those_of_its_camera(engine, catalog, cam):
    (uid,) = engine(bp.count([cam], 3)).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    numbers = [sequence_of(frame) for frame in np.asarray(catalog.c[uid].primary["cam"].read())]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


@pytest.fixture(scope="module")
def adc(engine, catalog):
    with init_devices():
        adc = SimAnalogInput(
            StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames),
            calibrations={"ai1": Calibration("W", 2.0)},
        )
    engine(bps.mv(adc.samples, 200))
    return adc


def recorded(engine, catalog, plan):
    """Data keys and path of what a plan records, and what Tiled has of it."""
    docs = []
    (uid,) = engine(plan, lambda name, document: docs.append((name, document))).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    described = next(d["data_keys"] for name, d in docs if name == "descriptor")
    (uri,) = {d["uri"] for name, d in docs if name == "stream_resource"}
    return described, uri.removeprefix("file://localhost"), catalog.c[uid].primary


@pytest.mark.parametrize("number", [1, 50])
def test_blocks_are_the_same_in_descriptor_file_and_tiled(engine, catalog, adc, number):
    described, path, stream = recorded(engine, catalog, record(adc, number * 0.02))
    read = stream.read()
    with h5py.File(path) as file:
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
        assert np.array_equal(read["adc-start"].values, file[block_path("timestamps")][:])
        assert np.array_equal(read["adc-lost"].values, np.zeros(number))


def test_blocks_of_a_step_scan_are_the_same_in_file_and_tiled(engine, catalog, adc):
    _, path, stream = recorded(engine, catalog, bp.count([adc], 3))
    read = stream.read()
    with h5py.File(path) as file:
        assert np.array_equal(read["adc-ai1"].values, file[samples_path("ai1")][:])
        for name in ("mean", "std", "min", "max"):
            assert np.array_equal(read[f"adc-ai1-{name}"].values, file[statistic_path("ai1", name)][:])
        assert np.array_equal(read["adc-start"].values, file[block_path("timestamps")][:])
