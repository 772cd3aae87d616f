"""Frames on a network disk: one without file locks is refused in words; one that others share is told once."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import nolocks
import pytest
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import _mount
from rdaq_ophyd.frames._mount import Mount, mount_of, tell_of_network

NOLOCKS = nolocks.__file__
RECORD = """
import asyncio, json, sys
from pathlib import Path
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Sine
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import DataDirectoryError

async def main(folder):
    paths = StaticPathProvider(UUIDFilenameProvider(), folder)
    for device in (
        SyntheticCamera(paths, "cam", width=16, height=8),
        SimAnalogInput(paths, "adc", inputs={"ai0": SimInput(Sine(100.0, 1.0))}, samples=20),
    ):
        said = ""
        await device.connect()
        await device.stage()
        try:
            await device.trigger()
        except DataDirectoryError as error:
            said = str(error)
        await device.unstage()
        await device.close()
        print(json.dumps([said, len(list(Path(folder).iterdir()))]))

asyncio.run(main(sys.argv[1]))
"""


def record(tmp_path, code, **environment):
    """What a camera and an analog input say, and how many files there are after each."""
    script, folder = tmp_path / "record.py", tmp_path / "frames"
    script.write_text(RECORD)
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, NOLOCKS, str(code), str(script), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or nolocks.FLOCK is None, reason="system calls cannot be filtered here"
)


@linux
@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOLCK, "No locks available"), (errno.EWOULDBLOCK, "Resource temporarily unavailable")],
)
def test_a_disk_that_gives_no_locks_is_told_with_the_ways_out(tmp_path, code, words):
    for said, files in record(tmp_path, code):
        assert f"{tmp_path}/frames/" in said
        assert f"cannot be locked: {words}" in said
        assert "mount the network one with locks" in said
        assert "HDF5_USE_FILE_LOCKING=FALSE" in said
        assert files == 0  # no empty file is left


@linux
def test_the_way_out_without_locks_works(tmp_path):
    assert record(tmp_path, errno.ENOLCK, HDF5_USE_FILE_LOCKING="FALSE") == [["", 1], ["", 2]]


@linux
def test_a_disk_that_knows_no_such_call_needs_nothing(tmp_path):
    assert record(tmp_path, errno.ENOSYS) == [["", 1], ["", 2]]


TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / {data} rw,relatime shared:7 master:2 - nfs4 server:/export/lab rw,vers=4.2
41 22 0:51 / {data}/my\\040disk rw - cifs //server/share rw
42 22 0:52 / {data}/local rw - xfs /dev/sdb1 rw
43 22 0:53 / {data}/local rw - 9p host rw
44 22 0:54 / {data}2 rw - nfs4 other:/ rw
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(_mount, "_told", set())
    path = tmp_path / "mountinfo"
    path.write_text(TABLE.format(data=tmp_path / "data"))
    return path


@pytest.mark.parametrize(
    ("place", "kind", "source"),
    [
        ("data/frames/f.h5", "nfs4", "server:/export/lab"),
        ("data/my disk/f.h5", "cifs", "//server/share"),
        ("data/local/f.h5", "9p", "host"),
        ("data3/f.h5", "ext4", "/dev/vda"),
    ],
)
def test_the_nearest_mount_counts(tmp_path, table, place, kind, source):
    found = mount_of(tmp_path / place, table)
    assert (found.kind, found.source) == (kind, source)


def test_a_network_disk_is_told_once(tmp_path, table, caplog):
    for place in ("data/a.h5", "data/b.h5", "data3/c.h5"):
        tell_of_network(tmp_path / place, table)
    (record,) = caplog.records
    assert f"{tmp_path / 'data'} is a network disk (nfs4 of server:/export/lab)" in record.getMessage()
    assert "on another one only when they are closed" in record.getMessage()


def test_where_the_system_tells_of_no_mounts_nothing_is_said(tmp_path, caplog):
    assert mount_of(tmp_path, tmp_path / "none") is None
    tell_of_network(tmp_path, tmp_path / "none")
    assert caplog.records == []


@linux
def test_the_systems_own_table_is_understood():
    assert isinstance(mount_of(Path("/proc/self")), Mount)
    assert mount_of(Path("/proc/self")).kind == "proc"


async def test_a_camera_tells_of_it_when_it_makes_a_file(tmp_path, table, caplog, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(_mount, "_TABLE", table)
    cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path / "data"), "cam", width=16, height=8)
    await cam.connect()
    await cam.stage()
    await cam.trigger()
    await cam.unstage()
    await cam.close()
    assert "is a network disk" in caplog.text
