"""Micro-Manager's DemoCamera as a detector: frames in files, properties as signals, binning, mock mode."""

import asyncio

import h5py
import numpy as np
import pytest
from microscopes import DEVICES, microscope, quick
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.micromanager import MicroManager, MicroManagerCamera, Property
from rdaq_ophyd.errors import CameraError, LimitError, MicroManagerError, UnknownName
from rdaq_ophyd.frames import DATA, PixelFormat, Roi, column_path

ROI = Roi(8, 4, 64, 48)


@pytest.fixture
async def cam(tmp_path):
    properties = {
        "gain": Property("Gain", int),
        "mode": Property("Mode"),
        "temperature": Property("CCDTemperature", float),
    }
    made = MicroManagerCamera(
        StaticPathProvider(UUIDFilenameProvider(), tmp_path), microscope(), name="cam", properties=properties
    )
    await made.connect()
    quick(made.driver.mm)
    await made.pixel_format.set(PixelFormat.MONO16)
    await made.roi.put_all(ROI)
    await made.exposure.set(0.002)
    yield made
    await made.close()


async def test_step_and_flight_into_hdf5(cam, tmp_path):
    await cam.stage()
    await cam.trigger()
    reading = await cam.read()
    await cam.unstage()
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=12, livetime=0.003))
    await cam.kickoff()
    await cam.complete()
    lost = await cam.frames_lost.get_value()
    await cam.unstage()
    files = {}
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            files[file[DATA].shape[0]] = path
    with h5py.File(files[1]) as file:
        assert file[DATA][0].mean() == reading["cam-mean"]["value"]
    with h5py.File(files[12]) as file:
        assert file[DATA].shape == (12, 48, 64)
        numbers = file[column_path("sequence_numbers")][:]
        assert numbers[-1] + 1 == 12 + lost
        assert list(file["/entry/instrument/detector/region"]) == [8, 4, 64, 48]
        assert np.allclose(file[column_path("count_time")], 0.003)


async def test_properties_are_signals_with_the_adapters_limits(cam):
    await cam.properties.gain.set(3)
    assert await cam.properties.gain.get_value() == 3
    described = await cam.describe_configuration()
    assert described["cam-properties-gain"]["limits"]["control"] == {"low": -5.0, "high": 8.0}
    assert described["cam-properties-mode"]["choices"] == [
        "Artificial Waves",
        "Color Test Pattern",
        "Fluorescent Beads",
        "Noise",
    ]
    assert (await cam.read_configuration())["cam-properties-mode"]["value"] == "Artificial Waves"
    with pytest.raises(LimitError, match="Gain cannot be 9 → choose from -5 to 8"):
        await cam.properties.gain.set(9)
    with pytest.raises(LimitError, match="Mode cannot be 'Nice' → choose from Artificial Waves"):
        await cam.properties.mode.set("Nice")
    with pytest.raises(LimitError, match="not a finite number"):
        await cam.properties.temperature.set(float("nan"))
    await cam.properties.temperature.set(-20.5)
    assert await cam.properties.temperature.get_value() == -20.5


async def test_binning_shapes_the_frames_and_waits_for_the_end_of_the_stage(cam):
    await cam.properties.binning.set("2")
    assert cam.driver.sensor_size() == (256, 256)
    await cam.roi.put_all(Roi(0, 0, 100, 50))
    await cam.stage()
    await cam.trigger()
    assert (await cam.describe())["cam"]["shape"] == [50, 100]
    with pytest.raises(CameraError, match="a file is open, .* → unstage the camera before"):
        await cam.properties.binning.set("1")
    await cam.unstage()
    with pytest.raises(LimitError, match="Binning cannot be '3' → choose from 1, 2, 4, 8"):
        await cam.properties.binning.set("3")


@pytest.mark.parametrize(
    ("name", "value"), [("PixelType", "8bit"), ("Binning", "2"), ("Gain", "3"), ("OnCameraCCDXSize", "256")]
)
async def test_properties_are_refused_while_a_file_is_open(tmp_path, name, value):
    given = {"p": Property(name), "harmless": Property("CCDTemperature", float, harmless=True)}
    cam = MicroManagerCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), microscope(), properties=given)
    await cam.connect()
    await cam.pixel_format.set(PixelFormat.MONO16)
    before = await cam.properties.p.get_value()
    await cam.stage()
    await cam.trigger()
    with pytest.raises(CameraError, match="a file is open"):
        await cam.properties.p.set(value)
    await cam.properties.harmless.set(-10.0)
    assert await cam.properties.p.get_value() == before
    await cam.unstage()
    await cam.properties.p.set(value)
    assert await cam.properties.p.get_value() == value
    await cam.close()


@pytest.mark.parametrize(("name", "value"), [("PixelType", "8bit"), ("Binning", "2")])
async def test_what_is_set_past_the_signals_puts_no_garbage_into_the_file(cam, tmp_path, name, value):
    await cam.stage()
    await cam.trigger()
    async for _ in cam.collect_asset_docs():
        pass
    cam.driver.mm.call("Camera", name, lambda core: core.setProperty("Camera", name, value))
    with pytest.raises(MicroManagerError, match=r"its images are .* now, those in the open file \(48, 64\) of <u2"):
        await cam.trigger()
    await cam.unstage()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert file[DATA].shape == (1, 48, 64)
        assert file[DATA][0].mean() == file[column_path("mean")][0]


async def test_limits_are_the_cameras_own(cam):
    with pytest.raises(LimitError, match=r"choose from 1e-06 to 10 s"):
        await cam.exposure.set(11)
    with pytest.raises(LimitError, match="width may be 1 to 512"):
        await cam.roi.width.set(513)


async def read(cam):
    await cam.connect()
    return await cam.properties.p.get_value()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (Property("Gian", int), UnknownName, "unknown property of Camera 'Gian' → did you mean Gain"),
        (Property("PixelType", int), MicroManagerError, r"PixelType is '8bit', no int → declare it as"),
    ],
)
async def test_properties_that_are_not_there_or_of_another_type(tmp_path, given, error, words):
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    cam = MicroManagerCamera(paths, microscope(), properties={"p": given})
    with pytest.raises(error, match=words):
        await read(cam)
    await cam.close()


async def test_a_property_that_is_read_only(tmp_path):
    given = {"p": Property("CCDTemperature RO", float)}
    cam = MicroManagerCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), microscope(), properties=given)
    await cam.connect()
    with pytest.raises(MicroManagerError, match="CCDTemperature RO is read-only"):
        await cam.properties.p.set(3.0)
    await cam.close()


async def test_mock_mode_needs_no_adapters(tmp_path):
    mm = MicroManager("nothing.cfg", adapters="/nowhere")
    cam = MicroManagerCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), mm, name="cam")
    await cam.connect(mock=True)
    await cam.stage()
    await cam.trigger()
    assert (await cam.read())["cam-mean"]["value"] > 0
    await cam.properties.binning.set("2")
    assert (await cam.read_configuration())["cam-properties-binning"]["value"] == "2"
    await cam.unstage()
    await cam.close()


def test_messages_use_the_name_of_the_device():
    cam = MicroManagerCamera(lambda _=None: None, microscope(), name="beam")
    assert (cam.driver.label, cam.driver.book.camera) == ("beam", "beam")
    with pytest.raises(CameraError, match="beam is not open"):
        cam.driver.exposure()
    assert DEVICES["Camera"] == ("DemoCamera", "DCam")


async def test_a_stop_waits_for_the_exposure_that_the_adapter_ends_first(cam):
    await cam.exposure.set(0.4)
    await cam.stage()
    status = cam.trigger()
    async with asyncio.timeout(5):
        while not cam._pipeline.acquiring:  # noqa: ASYNC110  a turn of the loop, bounded
            await asyncio.sleep(0)
        await cam.unstage()
        await status
    assert not cam.driver._running
