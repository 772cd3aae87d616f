"""The end of a run is written also where the disk is full; where it cannot be, it is kept until it can."""

import errno
import os

import pytest
from event_model import compose_run

from rdaq_ophyd.catalog import Spool, _lock, data_layout
from rdaq_ophyd.catalog._lock import ProcessLock, is_held
from rdaq_ophyd.catalog._reserve import RESERVED_BYTES
from rdaq_ophyd.catalog._runfile import RunFileReader
from rdaq_ophyd.errors import DataDirectoryError


class Disk:
    """Stands before ``os.write``: full, as long as nobody frees the reserve, or read-only."""

    def __init__(self, monkeypatch, reserve):
        self.code = 0
        self.reserve = reserve
        write = os.write

        def written(descriptor, data):
            if self.code == errno.EROFS or (self.code == errno.ENOSPC and reserve.exists()):
                raise OSError(self.code, os.strerror(self.code))
            return write(descriptor, data)

        monkeypatch.setattr("rdaq_ophyd.catalog._spool.os.write", written)


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path / "data")


@pytest.fixture
def spool(layout):
    made = Spool(layout)
    yield made
    made.close()


@pytest.fixture
def disk(layout, monkeypatch):
    return Disk(monkeypatch, layout.spool / ".reserve")


def names(spool, uid):
    return [name for name, _ in RunFileReader(spool.path(uid)).read()]


def begun(spool):
    run = compose_run()
    spool("start", run.start_doc)
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"source": "s", "dtype": "number", "shape": []}})
    spool("descriptor", stream.descriptor_doc)
    return run, stream


def test_on_a_full_disk_the_end_takes_the_room_kept_for_it(spool, disk, caplog):
    run, stream = begun(spool)
    assert disk.reserve.stat().st_size == RESERVED_BYTES
    disk.code = errno.ENOSPC
    with pytest.raises(DataDirectoryError, match="No space left"):
        spool("event", stream.compose_event(data={"x": 1}, timestamps={"x": 0.0}))
    spool("stop", run.compose_stop(exit_status="fail", reason="no room left"))
    assert names(spool, run.start_doc["uid"]) == ["start", "descriptor", "stop"]
    assert "took the room that was kept for it" in caplog.text
    assert spool.open_runs == ()
    disk.code = 0
    begun(spool)
    assert disk.reserve.exists()  # for the next time


@pytest.mark.parametrize("later", ["next run", "close"])
def test_an_end_that_cannot_be_written_is_written_later(spool, disk, later, caplog):
    run, _ = begun(spool)
    uid = run.start_doc["uid"]
    disk.code = errno.EROFS
    with pytest.raises(DataDirectoryError, match="Read-only"):
        spool("stop", run.compose_stop())
    assert names(spool, uid) == ["start", "descriptor"]
    disk.code = 0
    if later == "close":
        spool.close()
    else:
        begun(spool)
    assert names(spool, uid) == ["start", "descriptor", "stop"]


def test_an_end_that_can_never_be_written_leaves_an_open_run(spool, disk, caplog):
    run, _ = begun(spool)
    disk.code = errno.EROFS
    with pytest.raises(DataDirectoryError):
        spool("stop", run.compose_stop())
    spool.close()
    assert "has no stop document" in caplog.text


def test_without_room_for_the_reserve_no_run_begins(spool, disk, monkeypatch):
    def refuses(_reserve):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("rdaq_ophyd.catalog._reserve.Reserve.keep", refuses)
    with pytest.raises(DataDirectoryError, match="full"):
        spool("start", compose_run().start_doc)
    assert spool.open_runs == ()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused_by_name(layout, monkeypatch, code):
    def refuses(_descriptor):
        raise OSError(code, os.strerror(code))

    layout.prepare()
    (layout.spool / "worker.lock").touch()
    monkeypatch.setattr(_lock, "_lock", refuses)
    for use in (lambda: Spool(layout), lambda: ProcessLock(layout.spool / "x").acquire()):
        with pytest.raises(DataDirectoryError, match="no file can be locked") as caught:
            use()
        assert "local disk" in caught.value.hint
    with pytest.raises(DataDirectoryError):
        is_held(layout.spool / "worker.lock")
