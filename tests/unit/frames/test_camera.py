"""A camera as a detector: what it describes, reads, refuses, and how it pauses."""

import asyncio
import math
import threading
import time

import h5py
import numpy as np
import pytest
from ophyd_async.core import DetectorTrigger, TriggerInfo
from rows import collect, path_of, wait_rows

from rdaq_ophyd.capabilities import Capability, capabilities, stop_capability
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import DATA, CameraDriver, PixelFormat, Roi, column_path, sequence_of
from rdaq_ophyd.frames._layout import FrameFile


def fly(number, **kwargs):
    return TriggerInfo(number_of_events=number, livetime=0.002, **kwargs)


async def exposing(cam):
    """Wait until the camera takes a frame."""
    while not cam._pipeline.acquiring:  # noqa: ASYNC110  the wait is a turn of the loop, and bounded by the caller
        await asyncio.sleep(0)


async def test_capabilities(cam):
    found = capabilities(cam)
    assert {Capability.FRAME_PRODUCER, Capability.EXPOSURE_CONTROL, Capability.STOPPABLE} <= found
    assert "exposure in progress" in stop_capability(cam).note
    assert isinstance(cam.driver, CameraDriver)


async def test_configuration_names_units_and_camera(cam):
    values = await cam.read_configuration()
    assert values["cam-exposure"]["value"] == 0.001
    assert values["cam-model"]["value"] == "Synthetic 16x8"
    assert values["cam-serial_number"]["value"].startswith("SYN-")
    assert values["cam-roi-width"]["value"] == 16
    described = await cam.describe_configuration()
    assert described["cam-exposure"]["units"] == "s"
    assert described["cam-pixel_format"]["choices"] == [f.value for f in PixelFormat]


async def test_one_step(cam):
    await cam.stage()
    await cam.trigger()
    described = await cam.describe()
    assert described["cam"]["shape"] == [8, 16]
    assert described["cam"]["external"] == "STREAM:"
    assert "external" not in described["cam-mean"]
    assert cam.hints == {"fields": ["cam-mean", "cam-max"]}
    reading = await cam.read()
    docs = await collect(cam)
    assert [name for name, _ in docs] == ["stream_resource", "stream_datum"]
    assert await collect(cam) == []
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        frame = file[DATA][0]
        assert reading["cam-mean"]["value"] == frame.mean()
        assert reading["cam-max"]["value"] == frame.max()
        assert reading["cam-sum"]["value"] == frame.sum(dtype=np.uint64)
        assert file[column_path("mean")][0] == frame.mean()


@pytest.mark.parametrize("number", [1, 2, 7])
async def test_a_flight_streams_frames_and_scalars(cam, number):
    await cam.stage()
    await cam.prepare(fly(number))
    described = await cam.describe_collect()
    assert set(described) == {"cam", "cam-mean", "cam-max", "cam-sum", "cam-lost"}
    assert {d["external"] for d in described.values()} == {"STREAM:"}
    await cam.kickoff()
    seen = []
    status = cam.complete()
    status.watch(lambda **update: seen.append((update["current"], update["target"])))
    await status
    assert seen[-1] == (number, number)
    assert await cam.get_index() == number
    docs = await collect(cam)
    datums = [d for name, d in docs if name == "stream_datum"]
    assert len(datums) == 5
    assert {(d["indices"]["start"], d["indices"]["stop"]) for d in datums} == {(0, number)}
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[DATA].shape == (number, 8, 16)
        assert len({sequence_of(f) for f in file[DATA]}) == number
        assert np.allclose(file[column_path("count_time")], 0.002)


async def test_what_a_stopped_camera_has_taken_is_told_although_the_disk_is_behind(cam, monkeypatch):
    behind, append = threading.Event(), FrameFile.append

    def slowly(file, batch, lost):
        assert behind.wait(20)
        append(file, batch, lost)

    monkeypatch.setattr(FrameFile, "append", slowly)
    await cam.stage()
    await cam.prepare(fly(1000))
    await cam.kickoff()
    sink = cam._pipeline.sink
    while sink.idle:  # noqa: ASYNC110  a frame waits for the disk
        await asyncio.sleep(0.001)
    await cam.stop()
    telling = asyncio.ensure_future(collect(cam))
    await asyncio.sleep(0)
    behind.set()
    docs = await telling
    told = max(doc["indices"]["stop"] for name, doc in docs if name == "stream_datum")
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert len(file[DATA]) == told > 0
        assert file["/entry/exit_status"][()] == b"aborted"


async def test_an_endless_flight_is_stopped_by_complete(cam):
    await cam.stage()
    await cam.prepare(fly(0))
    await cam.kickoff()
    await wait_rows(cam, 3)
    await cam.complete()
    rows = await cam.frames_written.get_value()
    assert rows >= 3
    docs = await collect(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file["/entry/exit_status"][()] == b"complete"


async def test_a_slow_pace_is_kept(cam):
    await cam.stage()
    await cam.prepare(fly(3, deadtime=0.03))
    before = time.time()
    await cam.kickoff()
    await cam.complete()
    docs = await collect(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        # None before its time; on a busy machine they come late.
        assert np.all(file[column_path("timestamps")][:] - before > 0.9 * 0.032 * np.arange(1, 4))


@pytest.mark.parametrize("pixel_format", [PixelFormat.MONO8, PixelFormat.MONO12, PixelFormat.MONO16])
async def test_region_and_pixel_format_shape_the_frames(cam, pixel_format):
    await cam.roi.put_all(Roi(4, 2, 10, 5))
    await asyncio.gather(cam.roi.width.set(9), cam.roi.height.set(4))
    await cam.pixel_format.set(pixel_format)
    await cam.exposure.set(0.06)
    await cam.stage()
    await cam.trigger()
    described = await cam.describe()
    docs = await collect(cam)
    await cam.unstage()
    assert described["cam"]["shape"] == [4, 9]
    assert described["cam"]["dtype_numpy"] == pixel_format.dtype_numpy
    with h5py.File(path_of(docs)) as file:
        assert file[DATA].dtype == np.dtype(pixel_format.dtype_numpy)
        assert file[DATA].shape == (1, 4, 9)
        assert file[DATA][0, 1:].max() < 2**pixel_format.bits
        assert list(file["/entry/instrument/detector/region"]) == [4, 2, 9, 4]


@pytest.mark.parametrize("value", [0.0, -1.0, 61.0, math.nan, math.inf])
async def test_exposures_out_of_range_name_the_range(cam, value):
    with pytest.raises(LimitError, match=r"1e-05 to 60 s|finite"):
        await cam.exposure.set(value)
    assert await cam.exposure.get_value() == 0.001


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("x", 1, "x may be 0 to 0"),
        ("width", 17, "width may be 1 to 16"),
        ("height", 0, "1 to 8"),
        ("y", -1, "y may be"),
    ],
)
async def test_regions_off_the_sensor_name_the_range(cam, field, value, hint):
    with pytest.raises(LimitError, match=hint):
        await getattr(cam.roi, field).set(value)
    assert cam.driver.roi() == Roi(0, 0, 16, 8)


async def test_fractions_of_pixels_are_refused(cam):
    with pytest.raises(LimitError, match="whole number"):
        await cam.roi.width.set(2.5)


async def test_a_pixel_format_the_camera_lacks_names_those_it_has(cam):
    with pytest.raises(LimitError, match="no pixel format Mono10 → it has Mono8, Mono12, Mono16"):
        await cam.pixel_format.set(PixelFormat.MONO10)


async def test_shape_settings_wait_for_the_end_of_the_stage(cam):
    await cam.stage()
    await cam.trigger()
    for change in (cam.roi.width.set(4), cam.pixel_format.set(PixelFormat.MONO8)):
        with pytest.raises(CameraError, match="unstage the camera before"):
            await change
    await cam.unstage()
    await cam.roi.width.set(4)


async def test_what_it_cannot_do_is_refused_in_words(cam):
    await cam.stage()
    for info, words in (
        (TriggerInfo(number_of_events=2, collections_per_event=2), "number_of_events=n"),
        (TriggerInfo(exposures_per_collection=3), "one frame an event"),
        (TriggerInfo(deadtime=math.inf), "deadtime = inf s → give a finite number"),
        (TriggerInfo(livetime=math.inf), "livetime = inf s → give a finite number"),
        (TriggerInfo(trigger=DetectorTrigger.EXTERNAL_LEVEL), "use DetectorTrigger.INTERNAL, or EXTERNAL_EDGE"),
    ):
        with pytest.raises(CameraError, match=words):
            await cam.prepare(info)
    with pytest.raises(CameraError, match="is not prepared"):
        await cam.kickoff()
    with pytest.raises(CameraError, match="complete without kickoff"):
        await cam.complete()
    await cam.prepare(fly(3))
    with pytest.raises(CameraError, match="prepared for 3 frames"):
        await cam.trigger()
    await cam.events_to_kickoff.set(4)
    with pytest.raises(CameraError, match="4 frames asked for"):
        await cam.kickoff()
    with pytest.raises(CameraError, match="no frame to read"):
        await cam.read()
    await cam.unstage()


async def test_step_and_flight_do_not_share_a_file(cam):
    await cam.stage()
    await cam.trigger()
    await collect(cam)
    await cam.prepare(fly(2))
    with pytest.raises(CameraError, match="stage the camera between"):
        await cam.kickoff()
    await cam.unstage()


async def test_a_trigger_replaces_a_frame_that_nobody_read(cam):
    await cam.stage()
    await cam.trigger()
    await cam.trigger()
    docs = await collect(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert [sequence_of(f) for f in file[DATA]] == [1]
        assert file["/entry/instrument/detector/discarded_frames"][()] == 1


async def test_unstage_within_an_exposure_leaves_a_closed_file_and_ends_the_wait(cam, tmp_path):
    await cam.exposure.set(0.001)
    await cam.stage()
    await cam.trigger()
    await collect(cam)
    await cam.exposure.set(30)
    status = cam.trigger()
    async with asyncio.timeout(10):
        await exposing(cam)
    async with asyncio.timeout(5):
        await cam.unstage()
        await status
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert file[DATA].shape[0] == 1
        assert file["/entry/exit_status"][()] == b"aborted"


@pytest.mark.parametrize("how", ["stop", "halt"])
async def test_stop_from_anywhere_stops_the_camera(cam, how):
    await cam.stage()
    await cam.prepare(fly(10_000))
    await cam.kickoff()
    await wait_rows(cam, 2)
    if how == "stop":
        await cam.stop()
    else:
        await asyncio.to_thread(cam.halt)
    async with asyncio.timeout(5):
        await cam._acquire.wait_for_idle()
    assert not cam._pipeline.acquiring
    await cam.unstage()
    cam.halt()


async def test_no_frame_in_time_is_told(cam):
    await cam.stage()
    await cam.prepare(TriggerInfo(livetime=0.001, exposure_timeout=0.05))
    cam.driver.set_exposure(20)
    with pytest.raises(CameraError, match=r"no frame within 0\.05 s \(0 of 1 written\)"):
        await cam.trigger()
    await cam.unstage()


async def test_an_exposure_longer_than_the_time_out_is_waited_for(cam):
    await cam.exposure.set(0.3)
    await cam.stage()
    await cam.prepare(TriggerInfo(exposure_timeout=0.2))
    await cam.trigger()
    assert len(await collect(cam)) == 2
    await cam.unstage()
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=2, exposure_timeout=0.2))
    await cam.kickoff()
    await cam.complete()
    await cam.unstage()


async def test_the_exposure_does_not_change_under_frames(cam):
    await cam.stage()
    await cam.prepare(fly(10_000))
    await cam.kickoff()
    await wait_rows(cam, 2)
    with pytest.raises(CameraError, match="cannot change while it takes frames"):
        await cam.exposure.set(0.02)
    await cam.exposure.set(0.002)  # as it is
    await cam.stop()
    await cam.exposure.set(0.02)
    docs = await collect(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert set(file[column_path("count_time")]) == {0.002}


@pytest.mark.parametrize("compression", ["none", "blosc2-lz4"])
async def test_a_frame_of_another_kind_never_gets_into_the_file(cam, tmp_path, compression):
    await cam.compression.set(compression)
    await cam.stage()
    await cam.trigger()
    await collect(cam)
    cam.driver.set_pixel_format(PixelFormat.MONO8)  # behind the device's back
    with pytest.raises(CameraError, match=r"a frame of \(8, 16\) \|u1 came, its file is for \(8, 16\) <u2"):
        await cam.trigger()
    await cam.unstage()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert len(file[DATA]) == 1
        assert file["/entry/exit_status"][()] == b"failed"


async def test_mock_mode_takes_frames_without_hardware(paths):
    mock = SyntheticCamera(paths, "cam")
    await mock.connect(mock=True)
    await mock.stage()
    await mock.trigger()
    assert (await mock.read())["cam-mean"]["value"] > 0
    await mock.unstage()
    await mock.close()
