"""Whatever breaks in mid-run: what was acquired is kept, the run says why it ended, and the next one works."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from rdaq_ophyd.catalog import Spool, data_layout, repair
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import DATA, sequence_of
from rdaq_ophyd.frames._layout import FrameFile
from rdaq_ophyd.plans import fly_stack
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop

KEPT = 2


@pytest.fixture
def rig(tmp_path):
    """An engine that spools, and a camera that writes below the same data directory."""
    layout = data_layout(tmp_path)
    spool = Spool(layout)
    devices = {}
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    engine.subscribe(spool)
    folder = layout.frames / "cam"
    folder.mkdir()
    names = SimpleNamespace(next=UUIDFilenameProvider())
    with init_devices():
        devices["cam"] = cam = SyntheticCamera(
            StaticPathProvider(lambda device_name=None: names.next(device_name), folder), "cam", width=32, height=16
        )
    with engine.plan_end:
        yield SimpleNamespace(layout=layout, spool=spool, engine=engine, cam=cam, folder=folder, names=names)
    call_in_bluesky_event_loop(cam.close())
    stop_loop(engine)
    spool.close()


def breaking(cam, fault):
    """Five points; after two of them the fault."""

    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(livetime=0.001, exposure_timeout=0.2), wait=True)
        for point in range(5):
            if point == KEPT:
                fault()
            yield from bps.trigger_and_read([cam])

    return plan()


def run(rig, plan):
    """Run it; its documents in the spool, and what was raised."""
    known = set(rig.layout.spool.glob("*.jsonl"))
    raised = None
    try:
        rig.engine(plan)
    except Exception as error:  # noqa: BLE001  whatever it is, the tests look at it
        raised = error
    (path,) = set(rig.layout.spool.glob("*.jsonl")) - known
    return [json.loads(line) for line in path.read_text().splitlines()[1:]], raised


def events(documents):
    return sum(name == "event" and d["data"] != {} and "cam-mean" in d["data"] for name, d in documents)


def frames(documents):
    """The frames of a run, each checked against its own number."""
    (uri,) = {d["uri"] for name, d in documents if name == "stream_resource"}
    with h5py.File(uri.removeprefix("file://localhost")) as file:
        numbers = file["/entry/data/sequence_numbers"][:].tolist()
        exposed = [sequence_of(frame) for frame in file[DATA]]  # since the camera was opened, not since the file was
        assert [e - exposed[0] for e in exposed] == [number - numbers[0] for number in numbers]
        return len(numbers)


def disk_says(code):
    def fault(rig, patch):
        append = FrameFile.append

        def fails(self, records, lost):
            if self.rows >= KEPT:
                raise OSError(code, os.strerror(code))
            append(self, records, lost)

        patch.setattr(FrameFile, "append", fails)

    return fault


def unplugged(rig, patch):
    rig.cam.driver.fail(RuntimeError("device removed"))


def mute(rig, patch):
    patch.setattr(rig.cam.driver, "next_frame", time.sleep)  # None, for ever


def spool_full(rig, patch):
    write, reserve = os.write, rig.layout.spool / ".reserve"

    def full(descriptor, data):
        if reserve.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    patch.setattr("rdaq_ophyd.catalog._spool.os.write", full)


FAULTS = {
    "frames: disk full": (disk_says(errno.ENOSPC), "no room left for"),
    "frames: quota": (disk_says(errno.EDQUOT), "no room left for"),
    "frames: read-only": (disk_says(errno.EROFS), "no permission to write"),
    "frames: disk error": (disk_says(errno.EIO), "Input/output error"),
    "camera unplugged": (unplugged, "cam: device removed → check cable"),
    "SDK times out": (mute, "cam: no frame within 0.2 s (2 of 3 written)"),
    "documents: disk full": (spool_full, "No space left on device"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_mid_run(rig, name):
    fault, words = FAULTS[name]
    with pytest.MonkeyPatch.context() as patch:
        documents, raised = run(rig, breaking(rig.cam, lambda: fault(rig, patch)))
    assert raised is not None
    assert documents[-1][0] == "stop"
    stop = documents[-1][1]
    assert stop["exit_status"] == "fail"
    assert words in stop["reason"]
    assert events(documents) == stop["num_events"].get("primary") == KEPT
    # The frame of the point whose event found no room is in the file all the same.
    assert frames(documents) == KEPT + (name == "documents: disk full")

    documents, raised = run(rig, bp.count([rig.cam], 2))
    assert raised is None
    assert documents[-1][1]["exit_status"] == "success"
    assert events(documents) == frames(documents) == 2
    assert list(repair(rig.layout)) == []


@pytest.mark.parametrize("name", [name for name in FAULTS if name.startswith(("frames: disk full", "camera"))])
def test_a_fault_in_mid_flight_leaves_no_frame_untold(rig, name):
    fault, words = FAULTS[name]
    flown = fly_stack(rig.cam, num=1000, exposure=0.001)
    with pytest.MonkeyPatch.context() as patch:
        rig.engine.subscribe(lambda *_: fault(rig, patch), "stream_datum")
        documents, raised = run(rig, flown)
    assert raised is not None
    stop = documents[-1][1]
    assert (stop["exit_status"], words in stop["reason"]) == ("fail", True)
    told = max(d["indices"]["stop"] for n, d in documents if n == "stream_datum")
    assert KEPT < told == stop["num_events"]["primary"] == frames(documents) < 1000


def taken(rig):
    """The file that comes next is there already."""
    rig.names.next = lambda device_name=None: "same"
    (rig.folder / "same.h5").write_bytes(b"precious")


def vanished(rig):
    shutil.rmtree(rig.folder)


def no_folder(rig):
    rig.folder.rmdir()
    rig.folder.write_text("a file")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (taken, "exists already, and frames are never written over"),
        (vanished, "does not exist"),
        (no_folder, "does not exist"),
    ],
)
def test_a_place_where_frames_cannot_go(rig, fault, words):
    fault(rig)
    documents, raised = run(rig, bp.count([rig.cam], 2))
    assert raised is not None
    assert [name for name, _ in documents if name != "descriptor"] == ["start", "stop"]
    assert words in documents[-1][1]["reason"]
    if fault is taken:
        assert (rig.folder / "same.h5").read_bytes() == b"precious"
        rig.names.next = UUIDFilenameProvider()
    else:
        rig.folder.unlink(missing_ok=True)
        rig.folder.mkdir()
    documents, raised = run(rig, bp.count([rig.cam], 2))
    assert raised is None
    assert events(documents) == frames(documents) == 2


FULL = """
import errno, json, os, sys
from bluesky import RunEngine, plan_stubs as bps, preprocessors as bpp
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.devices.synthetic import SyntheticCamera

layout = data_layout(sys.argv[1])
engine = RunEngine({}, context_managers=[])
engine.subscribe(Spool(layout))
with init_devices():
    cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), layout.frames), "cam", width=256, height=256)

def fill():
    with open(layout.root / "filler", "wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC

@bpp.stage_decorator([cam])
@bpp.run_decorator()
def plan(points, full):
    for point in range(points):
        if point == full:
            fill()
        yield from bps.trigger_and_read([cam])

try:
    engine(plan(40, 3))
    raise SystemExit("the disk was not full")
except Exception as error:
    sys.stderr.write(str(error))
os.unlink(layout.root / "filler")
engine(plan(2, None))
found = []
for path in sorted(layout.spool.glob("*.jsonl"), key=os.path.getctime):
    documents = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    events = sum(name == "event" for name, _ in documents)
    (uri,) = {d["uri"] for name, d in documents if name == "stream_resource"}
    import h5py
    with h5py.File(uri.removeprefix("file://localhost")) as file:
        rows = file["/entry/data/data"].shape[0]
        full = all(frame.any() for frame in file["/entry/data/data"])
    last, stop = documents[-1]
    found.append({"stop": stop, "last": last, "events": events, "rows": rows, "full": full})
print(json.dumps(found))
os._exit(0)
"""


def _may_mount():
    done = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False, timeout=10
    )
    return done.returncode == 0


@pytest.mark.skipif(shutil.which("unshare") is None or not _may_mount(), reason="no file system can be mounted here")
def test_a_disk_that_is_really_full(tmp_path):
    """Frames and documents on one small file system of their own, which somebody else fills to the last byte."""
    script = tmp_path / "full.py"
    script.write_text(FULL)
    data = tmp_path / "data"
    data.mkdir()
    mount = f'mount -t tmpfs -o size=20m none "{data}" && exec "{sys.executable}" "{script}" "{data}"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    broken, after = json.loads(done.stdout.splitlines()[-1])
    assert broken["last"] == after["last"] == "stop"
    assert broken["stop"]["exit_status"] == "fail"
    assert "no room left" in broken["stop"]["reason"] or "No space left" in broken["stop"]["reason"]
    assert 3 <= broken["events"] <= broken["rows"] < 40
    assert broken["full"]
    assert (after["stop"]["exit_status"], after["events"], after["rows"]) == ("success", 2, 2)
    assert list(Path(data).iterdir()) == []  # the file system was the child's own


ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanations" / "crashes.md"


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE.read_text()))))
def test_every_row_of_the_page_names_a_test_that_exists(named):
    path, _, test = named.partition("::")
    assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.M), named
