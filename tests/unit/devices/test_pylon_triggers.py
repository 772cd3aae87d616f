"""Triggers of Basler's emulated camera: edges made by software are real ones to its SDK; its lines have no wires."""

import asyncio
import signal
import threading

import h5py
import pytest
from ophyd_async.core import DetectorTrigger, StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.pylon import PylonCamera, PylonDriver
from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import EdgeTriggered, PixelFormat, Roi, _generation, column_path

pytest.importorskip("pypylon.pylon", reason="pypylon is not installed")
SERIAL = "0815-0001"


def edges(number, **kwargs):
    return TriggerInfo(
        number_of_events=number, livetime=0.001, trigger=DetectorTrigger.EXTERNAL_EDGE, deadtime=0.01, **kwargs
    )


@pytest.fixture
async def cam(tmp_path, monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    made = PylonCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), SERIAL, "cam")
    await made.connect()
    await made.pixel_format.set(PixelFormat.MONO8)
    await made.roi.put_all(Roi(0, 0, 64, 48))
    yield made
    await made.close()


async def test_it_has_lines_and_records_the_chosen_one(cam):
    assert isinstance(cam.driver, EdgeTriggered)
    assert cam.driver.trigger_lines() == ("Software", "Line1", "Line2", "Line3")
    await cam.trigger_line.set("Line3")
    assert (await cam.read_configuration())["cam-trigger_line"]["value"] == "Line3"
    with pytest.raises(LimitError, match="no trigger input 'Line7' → it has Software, Line1"):
        await cam.trigger_line.set("Line7")


async def test_each_edge_is_one_frame(cam, tmp_path):
    await cam.trigger_line.set("Software")
    await cam.stage()
    await cam.prepare(edges(3))
    await cam.kickoff()
    status = cam.complete()
    for rows in (1, 2, 3):
        assert await asyncio.to_thread(cam.driver.fire)
        async for _ in cam._pipeline.progress(rows, 10):
            pass
        assert await cam.frames_written.get_value() == rows
    await status
    assert not cam.driver.fire(), "a camera that does not acquire takes no trigger"
    await cam.unstage()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert list(file[column_path("sequence_numbers")]) == [0, 1, 2]


@pytest.mark.parametrize("line", ["Line1", "Line3"])
async def test_a_line_without_a_signal_gives_no_frame_and_says_so(cam, line):
    await cam.trigger_line.set(line)
    await cam.stage()
    await cam.prepare(edges(1, exposure_timeout=0.1))
    camera = cam.driver._camera
    settings = {n: getattr(camera, n).Value for n in ("TriggerSelector", "TriggerSource", "TriggerActivation")}
    assert settings == {"TriggerSelector": "FrameStart", "TriggerSource": line, "TriggerActivation": "RisingEdge"}
    assert camera.TriggerMode.Value == "On"
    assert camera.LineMode.Value == "Input"
    with pytest.raises(CameraError, match=r"no frame within 0\.1 s .* check trigger"):
        await cam.trigger()
    await cam.unstage()
    await cam.stage()
    await cam.trigger()
    assert camera.TriggerMode.Value == "Off", "a step that asks for nothing is timed by the camera"
    await cam.unstage()


async def test_a_pause_while_it_waits_for_an_edge(cam):
    await cam.trigger_line.set("Line1")
    await cam.stage()
    await cam.prepare(edges(2))
    await cam.kickoff()
    async with asyncio.timeout(5):
        await cam.pause()
    assert not cam._pipeline.acquiring
    await cam.unstage()


@pytest.fixture
def waits(cam, monkeypatch):
    """Until its thread waits for a frame, which lasts a minute: as an SDK that does not keep its time."""
    within, take = threading.Event(), cam.driver.next_frame

    def next_frame(timeout):
        within.set()
        return take(timeout)

    async def until():
        assert await asyncio.to_thread(within.wait, 20)
        within.clear()

    monkeypatch.setattr(_generation, "_POLL", 60.0)
    monkeypatch.setattr(cam._pipeline, "patience", 0.2)
    monkeypatch.setattr(cam.driver, "next_frame", next_frame)
    return until


async def test_a_stop_insists_where_the_wait_for_an_edge_does_not_end(cam, waits, caplog):
    await cam.trigger_line.set("Line1")
    for stop in (cam.pause, cam.unstage, cam._pipeline.halt):
        await cam.stage()
        await cam.prepare(edges(2))
        await cam.kickoff()
        await waits()
        async with asyncio.timeout(10):
            await stop()
        assert not cam._pipeline.acquiring
        await cam.unstage()
    assert caplog.text.count("its wait for a frame is broken off") == 3


async def test_a_stop_from_another_thread_insists_too(cam, waits):
    await cam.trigger_line.set("Line1")
    await cam.stage()
    await cam.prepare(edges(2))
    await cam.kickoff()
    await waits()
    cam._pipeline.halt_soon()
    assert await asyncio.to_thread(cam._pipeline.stopped, 10.0)
    await cam.unstage()


def test_waiting_sends_no_signal(monkeypatch):
    """Pylon's own time-outs send SIGALRM to whoever has its handler by then, and wait for ever if it is not pylon's."""
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    driver, alarms = PylonDriver(SERIAL), []
    driver.open()
    before = signal.getsignal(signal.SIGALRM)
    try:
        for line, wait in (("Line1", lambda: driver.next_frame(0.05)), ("Software", lambda: fired(driver))):
            driver.arm_edges(line)
            driver.start(0.0)
            wait()
            signal.signal(signal.SIGALRM, lambda *_: alarms.append(1))
            waits = threading.Thread(target=wait, daemon=True)
            waits.start()
            waits.join(20)
            driver.stop()
            assert not waits.is_alive()
    finally:
        driver.close()
        signal.signal(signal.SIGALRM, before)
    assert not alarms


class Busy:
    """The camera, as long as it is not ready for a trigger."""

    def __init__(self, camera):
        self._camera, self.asked, self.ready = camera, threading.Event(), False

    def WaitForFrameTriggerReady(self, *args):
        self.asked.set()
        return self.ready and self._camera.WaitForFrameTriggerReady(*args)

    def __getattr__(self, name):
        return getattr(self._camera, name)


@pytest.mark.parametrize("again", [False, True])
def test_a_trigger_that_waits_ends_with_its_acquisition(monkeypatch, again):
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    driver, found = PylonDriver(SERIAL), []
    driver.open()
    camera, driver._camera = driver._camera, Busy(driver._camera)
    try:
        driver.arm_edges("Software")
        driver.start(0.0)
        waits = threading.Thread(target=lambda: found.append(driver.fire(60.0)), daemon=True)
        waits.start()
        assert driver._camera.asked.wait(20)
        driver.stop()
        if again:
            driver.start(0.0)
            driver._camera.ready = True
        waits.join(20)
        assert found == [False]
        assert driver.next_frame(0.05) is None
    finally:
        driver._camera = camera
        driver.close()


def fired(driver):
    assert driver.fire()
    driver.next_frame(1).release()


async def test_an_output_becomes_an_input(cam):
    camera = cam.driver._camera
    camera.LineSelector.Value = "Line2"
    camera.LineMode.Value = "Output"
    cam.driver.arm_edges("Line2")
    camera.LineSelector.Value = "Line2"
    assert camera.LineMode.Value == "Input"


def test_a_line_that_the_camera_lacks(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    driver = PylonDriver(SERIAL)
    with pytest.raises(CameraError, match="is not open"):
        driver.arm_edges("Line1")
    driver.open()
    with pytest.raises(CameraError, match="no trigger input 'Line9' → set trigger_line to one of Software, Line1"):
        driver.arm_edges("Line9")
    driver.close()


async def test_mock_mode_has_edges_too(tmp_path):
    mock = PylonCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), SERIAL, "cam")
    await mock.connect(mock=True)
    await mock.stage()
    await mock.prepare(edges(1))
    await mock.kickoff()
    assert mock._pipeline.driver.fire()
    await mock.complete()
    await mock.unstage()
    await mock.close()
