"""A stop that the camera's thread does not notice: it is broken off where the driver can, and told either way."""

import asyncio
import threading

import pytest
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CameraError


@pytest.fixture
async def cam(tmp_path, monkeypatch):
    made = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), name="cam")
    await made.connect()
    made.hangs, within = threading.Event(), threading.Event()

    def next_frame(_timeout):
        within.set()
        made.hangs.wait(30)

    monkeypatch.setattr(made._pipeline, "patience", 0.1)
    monkeypatch.setattr(made.driver, "next_frame", next_frame)
    await made.stage()
    await made.prepare(TriggerInfo(number_of_events=3, livetime=0.001))
    await made.kickoff()
    assert await asyncio.to_thread(within.wait, 20)
    yield made
    made.hangs.set()
    await made.unstage()
    await made.close()


async def test_one_that_can_be_interrupted_stops(cam, monkeypatch, caplog):
    monkeypatch.setattr(cam.driver, "interrupt", cam.hangs.set, raising=False)
    async with asyncio.timeout(10):
        await cam._pipeline.halt()
    assert not cam._pipeline.acquiring
    assert "cam has not stopped within 0.1 s: its wait for a frame is broken off" in caplog.text


async def test_one_that_cannot_is_waited_for_and_given_up_in_words(cam, monkeypatch, caplog):
    monkeypatch.setattr(cam._pipeline, "stop_timeout", 0.3)
    with pytest.raises(CameraError, match="did not stop within 0 s → its SDK hangs"):
        await cam._pipeline.halt()
    assert "broken off" not in caplog.text


async def test_what_goes_wrong_in_that_is_told(cam, monkeypatch, caplog):
    def interrupt():
        cam.hangs.set()
        raise CameraError("the cable is out")

    monkeypatch.setattr(cam.driver, "interrupt", interrupt, raising=False)
    async with asyncio.timeout(10):
        await cam._pipeline.halt()
    for thread in threading.enumerate():
        if thread.name == "camera-interrupt":
            thread.join(10)
    assert "breaking off the wait for a frame" in caplog.text
    assert "the cable is out" in caplog.text


async def test_one_that_stops_is_left_alone(cam, monkeypatch, caplog):
    monkeypatch.setattr(cam._pipeline, "patience", 10.0)
    monkeypatch.setattr(cam.driver, "interrupt", lambda: pytest.fail("nobody asked for it"), raising=False)
    cam.hangs.set()
    await cam._pipeline.halt()
    assert "broken off" not in caplog.text
