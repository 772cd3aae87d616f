"""A disk that is full and stays so: whatever is begun on it says which file has no room, and what to do."""

import json
import shutil
import subprocess
import sys

import pytest

# Runs on a file system of 24 MiB of its own; with 0 bytes left, and with some for the first of what a run writes.
SCRIPT = """
import errno, json, os, sys
from pathlib import Path
from bluesky import plans as bp
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.startup._metadata import Metadata
from rdaq_ophyd.startup._record import scan_ids
from rdaq_ophyd.startup._run_engine import make_run_engine

layout = data_layout(sys.argv[1])
session = layout.root / "session"
spool = Spool(layout, minimum_free_bytes=0)
engine = make_run_engine(
    Metadata(session / "metadata.json"), scan_id_source=scan_ids(session), devices=lambda: [], person=False
)
engine.subscribe(spool)
with init_devices():
    cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), layout.frames), "cam", width=512, height=512)

def fill(left):
    kept = layout.root / "kept"
    if left:
        kept.write_bytes(os.urandom(left))
    with open(layout.root / "filler", "wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    kept.unlink(missing_ok=True)

def run():
    said = []
    try:
        with engine.plan_end:
            engine(bp.count([cam], 2))
    except BaseException as error:
        if type(error).__name__ == "FailedStatus":  # bluesky's word for what a device's status raised
            error = error.__cause__
        said = [type(error).__name__, str(error)]
    return said, int((session / "scan_id").read_text())

told = [run()]
for left in (0, 2**12, 2**14, 2**19, 2**20):
    fill(left)
    told.append(run())
    os.unlink(layout.root / "filler")
told.append(run())
print(json.dumps(told))
sys.stdout.flush()
os._exit(0)
"""


def _may_mount():
    done = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False, timeout=10
    )
    return done.returncode == 0


@pytest.mark.skipif(shutil.which("unshare") is None or not _may_mount(), reason="no file system can be mounted here")
def test_every_run_on_a_full_disk_names_the_file_and_the_next_step(tmp_path):
    script, data = tmp_path / "script.py", tmp_path / "data"
    script.write_text(SCRIPT)
    data.mkdir()
    mount = f'mount -t tmpfs -o size=24m none "{data}" && exec "{sys.executable}" "{script}" "{data}"'
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", mount], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, *full, last = json.loads(done.stdout.splitlines()[-1])
    assert first == [[], 1]
    for said, _ in full:
        kind, text = said
        assert kind == "DataDirectoryError"
        assert f"{data}/" in text
        assert "No space left on device" in text or "MiB free" in text
        assert "free some room" in text or "free space" in text
    assert last[0] == []  # with room again
    numbers = [number for _, number in (first, *full, last)]
    assert numbers == sorted(numbers)  # none is given twice: the file that holds them was not emptied
    assert len({numbers[0], *numbers[-1:]}) == 2
