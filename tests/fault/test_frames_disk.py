"""Disks that fill up, directories that vanish, writers that are killed: what was flushed stays readable."""

import errno
import json
import random
import resource
import shutil
import subprocess
import sys
import textwrap
import threading

import h5py
import numpy as np
import pytest
from benchmarks.f21 import LONGEST, killed, readable
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider
from parts import until

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CameraError, DataDirectoryError
from rdaq_ophyd.frames import DATA, clear_mark, column_path, read_readable, sequence_of
from rdaq_ophyd.frames._layout import FrameFile

# A child whose files may not grow beyond 2 MiB: to the writer that is a full disk (EFBIG).
FULL = """
    import asyncio, json, resource, sys
    from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider
    from rdaq_ophyd.devices.synthetic import SyntheticCamera
    from rdaq_ophyd.errors import DataDirectoryError

    async def main(directory):
        cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), directory), "cam", width=256, height=256)
        await cam.connect()
        await cam.stage()
        await cam.prepare(TriggerInfo(number_of_events=100, livetime=0.001))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))
        await cam.kickoff()
        try:
            await cam.complete()
        except DataDirectoryError as error:
            said = str(error)
        rows = await cam.frames_written.get_value()
        await cam.unstage()
        await cam.close()
        print(json.dumps({"said": said, "rows": rows}))

    asyncio.run(main(sys.argv[1]))
"""


def test_a_full_disk_reaches_the_status_and_every_flushed_frame_is_readable(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "no room left" in told["said"]
    assert 5 <= told["rows"] < 20
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path, "r", swmr=True) as file:
        assert file[DATA].shape[0] >= told["rows"]
        _agree(file, told["rows"])
        assert np.all(file[column_path("mean")][: told["rows"]] > 0)


def _agree(file, rows):
    """Each of the first rows holds the frame whose number stands beside it, in order."""
    numbers = list(file[column_path("sequence_numbers")][:rows])
    assert len(numbers) == rows
    assert numbers == sorted(set(numbers))
    assert [sequence_of(frame) for frame in file[DATA][:rows]] == numbers


@pytest.fixture
async def cam(tmp_path):
    made = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path / "data"), "cam", width=16, height=8)
    (tmp_path / "data").mkdir()
    await made.connect()
    yield made
    await made.close()


async def test_a_write_that_fails_once_ends_the_run_with_what_was_before(cam, tmp_path, monkeypatch):
    append = FrameFile.append

    def fails_at_third(self, records, lost):
        if self.rows >= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, records[:1], lost) if len(records) > 1 else append(self, records, lost)

    monkeypatch.setattr(FrameFile, "append", fails_at_third)
    await cam.stage()
    await cam.trigger()
    [d async for d in cam.collect_asset_docs()]
    await cam.trigger()
    [d async for d in cam.collect_asset_docs()]
    with pytest.raises(DataDirectoryError, match="no room left"):
        await cam.trigger()
    with pytest.raises(DataDirectoryError):
        await cam.trigger()
    await cam.unstage()
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path) as file:
        assert file[DATA].shape[0] == 2
        assert file["/entry/exit_status"][()] == b"failed"
    monkeypatch.undo()
    await cam.stage()
    await cam.trigger()
    await cam.unstage()


async def test_a_write_that_fails_leaves_no_frame_uncounted(cam, tmp_path, monkeypatch):
    append, full = FrameFile.append, threading.Event()

    def fails_at_third(self, records, lost):
        if self.rows >= 2:
            assert full.wait(20)
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, records, lost)

    monkeypatch.setattr(FrameFile, "append", fails_at_third)
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=100, livetime=0.001))
    await cam.kickoff()
    await until(lambda: (sink := cam._pipeline.sink) and len(sink._waiting) == sink.depth)
    full.set()
    with pytest.raises(DataDirectoryError, match="no room left"):
        await cam.complete()
    await cam.unstage()
    rows, lost, discarded = [await s.get_value() for s in (cam.frames_written, cam.frames_lost, cam.frames_discarded)]
    assert cam.driver.acquired == rows + lost + discarded
    assert discarded > 8
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path) as file:
        assert file[DATA].shape[0] == rows
        assert file["/entry/instrument/detector/discarded_frames"][()] == discarded
        assert file["/entry/instrument/detector/lost_frames"][()] == lost


async def test_a_directory_that_vanished_between_runs_is_named(cam, tmp_path):
    await cam.stage()
    await cam.trigger()
    await cam.unstage()
    shutil.rmtree(tmp_path / "data")
    await cam.stage()
    with pytest.raises(DataDirectoryError, match="data does not exist"):
        await cam.trigger()
    await cam.unstage()


async def test_a_directory_removed_under_the_writer_does_not_hang_it(cam, tmp_path):
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=5, livetime=0.001))
    shutil.rmtree(tmp_path / "data")
    await cam.kickoff()
    with pytest.raises(DataDirectoryError, match="was removed while it was written"):
        await cam.complete()
    await cam.unstage()
    assert not (tmp_path / "data").exists()  # there was nothing in it


async def test_a_stack_that_does_not_fit_is_refused_before_it_starts(cam):
    await cam.stage()
    with pytest.raises(DataDirectoryError, match=r"frames need \d+ MiB"):
        await cam.prepare(TriggerInfo(number_of_events=10**12))
    await cam.unstage()


async def test_a_camera_that_is_unplugged_fails_the_status_and_keeps_the_frames(cam, tmp_path):
    await cam.stage()
    await cam.trigger()
    [d async for d in cam.collect_asset_docs()]
    cam.driver.fail(RuntimeError("device removed"))
    with pytest.raises(CameraError, match="cam: device removed → check cable"):
        await cam.trigger()
    await cam.unstage()
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path) as file:
        assert file[DATA].shape[0] == 1


@pytest.mark.parametrize("share", [0, *(random.random() for _ in range(2))], ids=["at once", "random 1", "random 2"])
def test_kill_9_loses_no_flushed_frame(tmp_path, share):
    """At a random moment of the first second: each frame whose flush had returned is in a file that opens."""
    flushed = killed(tmp_path, share * LONGEST)
    (path,) = tmp_path.glob("*.h5")
    about = f"{flushed} frames flushed, killed {share * LONGEST:.4f} s after the first"
    assert readable(path) >= flushed, about
    with h5py.File(path, "r", swmr=True) as file:
        assert file["/entry/exit_status"][()] == b"writing"
    assert read_readable(path).frame_count >= flushed, about
    clear_mark(path)
    with h5py.File(path) as file:  # a plain reader
        assert file[DATA].shape[0] >= flushed, about


def test_rlimit_is_the_childs_alone():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
