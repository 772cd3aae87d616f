"""A file that is removed or moved under its writer: told, and put back where the system still has its data."""

import errno
import shutil
from types import SimpleNamespace

import h5py
import pytest
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from rdaq_ophyd.catalog import Spool, data_layout, repair
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Sine
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import DataDirectoryError
from rdaq_ophyd.frames import _gone, sequence_of, writer_mark
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop

KEPT = 3


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path).prepare()


@pytest.fixture(params=["cam", "adc"])
async def device(request, layout):
    paths = StaticPathProvider(UUIDFilenameProvider(), layout.frames)
    if request.param == "cam":
        made = SyntheticCamera(paths, "cam", width=16, height=8)
    else:
        made = SimAnalogInput(paths, "adc", inputs={"ai0": SimInput(Sine(100.0, 1.0))}, samples=20)
    await made.connect()
    yield made
    await made.close()


async def taken(device, count=KEPT):
    """Flown and still open: the file."""
    await device.stage()
    await device.prepare(TriggerInfo(number_of_events=count, livetime=0.002))
    await device.kickoff()
    await device.complete()
    return device._pipeline.sink.path


def rows(path):
    assert not writer_mark(path).marked  # no program has to know SWMR
    with h5py.File(path) as file:
        return file["/entry/exit_status"][()], file["/entry/data/timestamps"].shape[0]


async def test_a_file_removed_after_the_last_row_is_put_back_whole(device, layout, caplog):
    path = await taken(device)
    shutil.rmtree(layout.frames)
    await device.unstage()
    assert rows(path) == (b"complete", KEPT)
    assert f"{path} was removed while it was written; it is put back, whole" in caplog.text


async def test_the_next_row_is_not_written_into_a_file_without_a_name(device, layout, caplog):
    path = await taken(device)
    path.unlink()
    await device.prepare(TriggerInfo(number_of_events=KEPT, livetime=0.002))
    await device.kickoff()
    with pytest.raises(DataDirectoryError, match="was removed while it was written → what it holds is put back"):
        await device.complete()
    await device.unstage()
    assert rows(path) == (b"failed", KEPT)


async def test_a_moved_folder_is_told_with_the_place_where_it_is(device, layout, tmp_path):
    path = await taken(device)
    layout.frames.rename(tmp_path / "elsewhere")
    with pytest.raises(DataDirectoryError, match="was moved, or its disk taken away") as told:
        await device.unstage()
    assert f"it is now {tmp_path / 'elsewhere' / path.name}" in told.value.what
    assert rows(tmp_path / "elsewhere" / path.name) == (b"complete", KEPT)


async def test_what_has_its_name_is_not_written_over(device, layout):
    path = await taken(device)
    path.unlink()
    path.write_bytes(b"precious")
    with pytest.raises(DataDirectoryError, match="another file has its name; it is kept as"):
        await device.unstage()
    assert path.read_bytes() == b"precious"
    assert rows(path.with_name(f"{path.stem}-restored.h5")) == (b"complete", KEPT)


@pytest.mark.parametrize("device", ["cam"], indirect=True)
@pytest.mark.parametrize("why", ["no room", "in mid-copy"])
async def test_what_cannot_be_put_back_is_told_as_lost(device, layout, monkeypatch, why):
    path = await taken(device)
    path.unlink()
    if why == "no room":
        monkeypatch.setattr(_gone.shutil, "disk_usage", lambda _path: SimpleNamespace(free=10))
    else:

        def full(_source, copy, _length):
            copy.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(_gone.shutil, "copyfileobj", full)
    with pytest.raises(DataDirectoryError, match="cannot be put back .*→ these frames are lost") as told:
        await device.unstage()
    assert ("10 bytes are free" in str(told.value)) is (why == "no room")
    assert list(layout.frames.iterdir()) == []  # no half of a file


def test_a_run_whose_folder_is_removed_says_so_and_keeps_every_frame_it_tells_of(layout, caplog):
    spool, devices, documents = Spool(layout), {}, []
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    engine.subscribe(spool)
    engine.subscribe(lambda name, document: documents.append((name, dict(document))))
    with init_devices():
        devices["cam"] = cam = SyntheticCamera(
            StaticPathProvider(UUIDFilenameProvider(), layout.frames), "cam", width=16, height=8
        )

    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan(removed):
        for point in range(6):
            if point == removed:
                shutil.rmtree(layout.frames)
            yield from bps.trigger_and_read([cam])

    try:
        with engine.plan_end:
            with pytest.raises(Exception, match="was removed while it was written"):
                engine(plan(KEPT))
            stop = documents[-1][1]
            assert stop["exit_status"] == "fail"
            assert "was removed while it was written" in stop["reason"]
            assert stop["num_events"]["primary"] == KEPT
            (path,) = layout.frames.glob("*.h5")
            assert rows(path) == (b"failed", KEPT)
            with h5py.File(path) as file:
                assert [sequence_of(frame) for frame in file["/entry/data/data"]] == list(range(KEPT))
            engine(plan(None))  # the next one works
            assert documents[-1][1]["exit_status"] == "success"
        assert list(repair(layout)) == []
    finally:
        call_in_bluesky_event_loop(cam.close())
        stop_loop(engine)
        spool.close()
