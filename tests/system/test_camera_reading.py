"""Descriptor, file and Tiled agree about a camera's frames and an analog input's blocks; others read a growing file."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest
from benchmarks._live import OCTETS, bytes_read, frames
from benchmarks._live import http as http_client
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from overhttp import OverHttp
from preloaded import at_work
from streamscans import file_of, flight, flight_until

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.catalog._export_table import stream_table
from rdaq_ophyd.devices.sim_analog import SimAnalogInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import DATA, PixelFormat, column_path, sequence_of
from rdaq_ophyd.plans import record
from rdaq_ophyd.samples import Calibration, samples_path, statistic_path
from rdaq_ophyd.samples import column_path as block_path

SHAPE = (24, 40)


@pytest.fixture(scope="module")
def catalog(engine, untraced, tmp_path_factory):
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
        assert node.chunks[0] == (number,)  # in the file a chunk each; the catalog is told of large ones
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


def test_a_camera_that_is_staged_twice_in_a_run_reads_as_one(engine, catalog, cam):
    """Two files of one data key: the catalog joins what is told of each. A frame that nobody read is no part of it."""

    @bpp.run_decorator()
    def plan():
        for number in (3, 5):
            yield from bps.stage(cam)
            for _ in range(number):
                yield from bps.trigger_and_read([cam])
            yield from bps.trigger(cam, wait=True)  # its frame is cut from the file: no document tells of it
            yield from bps.unstage(cam)

    docs = []
    (uid,) = engine(plan(), lambda name, document: docs.append((name, document))).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    paths = [d["uri"].removeprefix("file://localhost") for name, d in docs if name == "stream_resource"]
    taken = []
    for path in paths:
        with h5py.File(path) as file:
            taken.append(file[DATA][:])
    assert [len(frames) for frames in taken] == [3, 5]
    read = catalog.c[uid].primary.read()
    assert np.array_equal(read["cam"].values, np.concatenate(taken))
    assert np.array_equal(read["cam-mean"].values, np.concatenate(taken).mean(axis=(1, 2)))
    assert np.array_equal(catalog.c[uid].primary["cam"][2:4], [taken[0][2], taken[1][0]])
    table = stream_table(catalog.c[uid], "primary")
    (rows,) = (part.select(["cam_file", "cam_index"]).to_pylist() for part in table.blocks())
    assert [(row["cam_file"], row["cam_index"]) for row in rows] == [
        *((paths[0], n) for n in range(3)),
        *((paths[1], n) for n in range(5)),
    ]


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
                [sys.executable, "-X", "preloaded", "-c", textwrap.dedent(READER), path],
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
    engine(bps.mv(cam.exposure, 0.004))
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


BIG, MANY = 512, 24


@pytest.fixture(scope="module")
def big(engine, catalog, warm):
    """Uid and file of a flight of larger frames, and the camera."""
    with init_devices():
        cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames), width=BIG, height=BIG)
    docs = []
    engine(bps.mv(cam.exposure, 0.004))
    (uid,) = engine(flight(cam, MANY), lambda name, document: docs.append((name, document))).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    uri = next(d["uri"] for name, d in docs if name == "stream_resource")
    return uid, uri.removeprefix("file://localhost"), cam


@pytest.fixture
def http(catalog):
    with http_client(catalog.uri, str(catalog.api_key)) as client:
        yield client


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this system does not count what a process reads")
@pytest.mark.parametrize(("part", "number"), [("7", 1), ("4:8", 4), ("10,100:120,200:210", 1), ("::8", 3)])
def test_a_slice_reads_its_own_frames_and_no_others(catalog, big, http, part, number):
    uid, path, _ = big
    before = bytes_read(at_work(catalog.server_pid))
    served = frames(http, uid, part)
    read = bytes_read(at_work(catalog.server_pid)) - before
    with h5py.File(path) as file:
        index = tuple(slice(*(int(n) if n else None for n in one.split(":"))) if ":" in one else int(one)
                      for one in part.split(","))  # fmt: skip
        assert served == file[DATA][index].tobytes()
    size = BIG * BIG * 2
    # Beside the frames: what HDF5 reads to find them, and requests and catalog.
    assert number * size <= read < (number + 1) * size, f"{read / size:.2f} frames were read for {number}"


def test_a_reader_that_stalls_costs_the_writer_nothing(engine, catalog, big, http):
    """It asks for a whole stack and takes nothing of the answer, while the camera takes the next one."""
    uid, _, cam = big
    address = httpx.URL(catalog.uri)
    with socket.create_connection((address.host, address.port)) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = (
            f"GET {address.path}/array/full/{uid}/primary/cam?format={OCTETS} HTTP/1.1\r\nHost: {address.host}\r\n"
        )
        stalled.sendall(f"{request}Authorization: Apikey {catalog.api_key}\r\n\r\n".encode())
        assert stalled.recv(12) == b"HTTP/1.1 200"
        docs = []
        (after,) = engine(flight(cam, MANY), lambda name, document: docs.append((name, document))).run_start_uids
        assert docs[-1][1]["exit_status"] == "success"
        assert docs[-1][1]["num_events"]["primary"] == MANY
        assert catalog.wait_drained(after, timeout=60)
        assert len(frames(http, after, str(MANY - 1))) == BIG * BIG * 2
        stalled.setblocking(False)
        assert stalled.recv(1), "it was not stalled: nothing was left for it"


def test_another_process_reads_flushed_frames_over_http_while_the_run_goes_on(engine, catalog, cam, http):
    """Each reading is of the newest frame that Tiled shows; its pixels are those that the file has at the end."""
    with OverHttp(catalog.uri, str(catalog.api_key)) as reader:
        docs = []

        def on_document(name, document):
            docs.append((name, document))
            if name == "start":
                reader.begin(document["uid"])

        (uid,) = engine(flight_until(cam, lambda: reader.read_often(3)), on_document).run_start_uids
    assert catalog.wait_drained(uid, timeout=60)
    with h5py.File(file_of(docs)) as file:
        taken = file[DATA][:]
    told = max(d["indices"]["stop"] for name, d in docs if name == "stream_datum")
    assert len(taken) == told
    assert len({rows for rows, _ in reader.readings}) == len(reader.readings)
    for rows, digest in reader.readings:
        assert digest == hashlib.sha256(taken[rows - 1].tobytes()).hexdigest(), f"row {rows - 1}"
    assert len(np.unique(taken.reshape(told, -1), axis=0)) == told, "frames that are alike would prove nothing"
    assert frames(http, uid, f"0:{told}") == taken.tobytes()


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
