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


def interruptions():
    return [thread for thread in threading.enumerate() if thread.name == "camera-interrupt"]


async def test_one_that_has_ended_meanwhile_is_not_broken_off_and_neither_is_the_next(cam, monkeypatch):
    monkeypatch.setattr(cam.driver, "interrupt", lambda: pytest.fail("it has ended"), raising=False)
    ended = cam._pipeline._generation
    cam.hangs.set()
    await cam._pipeline.halt()
    failed = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    cam._pipeline._insist(ended, 0.1)
    for thread in interruptions():
        thread.join(10)
    assert not failed


async def test_the_next_one_begins_when_what_is_late_is_over(cam, monkeypatch):
    late, may_return, started = threading.Event(), threading.Event(), threading.Event()

    def interrupt():
        cam.hangs.set()
        late.set()
        may_return.wait(20)

    monkeypatch.setattr(cam.driver, "interrupt", interrupt, raising=False)
    await cam._pipeline.halt()
    assert late.is_set()
    monkeypatch.setattr(cam.driver, "start", lambda _period: started.set())
    await cam._pipeline.arm(1, 0.001)
    assert not started.wait(0.1)
    may_return.set()
    assert await asyncio.to_thread(started.wait, 10)
    await cam._pipeline.halt()


async def test_one_that_is_stopped_while_it_waits_for_that_does_not_begin(cam, monkeypatch):
    monkeypatch.setattr(cam.driver, "interrupt", cam.hangs.set, raising=False)
    await cam._pipeline.halt()
    monkeypatch.setattr(cam.driver, "start", lambda _period: pytest.fail("it was stopped"))
    with cam._pipeline._interrupting:
        await cam._pipeline.arm(1, 0.001)
        cam._pipeline.halt_soon()
    await cam._pipeline.halt()
    assert cam._pipeline._failure is None


async def test_one_thread_at_a_time_breaks_it_off(cam, monkeypatch):
    asked, may_return = [], threading.Event()

    def interrupt():
        asked.append(1)
        may_return.wait(20)

    monkeypatch.setattr(cam.driver, "interrupt", interrupt, raising=False)
    monkeypatch.setattr(cam._pipeline, "stop_timeout", 0.3)
    try:
        for _ in range(3):
            with pytest.raises(CameraError, match="did not stop"):
                await cam._pipeline.halt()
        assert len(asked) == len(interruptions()) == 1
    finally:
        may_return.set()
    for thread in interruptions():
        thread.join(10)
    with pytest.raises(CameraError, match="did not stop"):
        await cam._pipeline.halt()
    assert len(asked) == 2, "the next stop tries again"


async def test_a_short_time_to_stop_leaves_some_for_what_breaking_off_does(cam, monkeypatch):
    monkeypatch.setattr(cam._pipeline, "patience", 60.0)
    monkeypatch.setattr(cam.driver, "interrupt", cam.hangs.set, raising=False)
    cam._pipeline.halt_soon()
    assert await asyncio.to_thread(cam._pipeline.stopped, 2.0)


async def test_so_it_does_on_the_loop(cam, monkeypatch):
    monkeypatch.setattr(cam._pipeline, "patience", 60.0)
    monkeypatch.setattr(cam._pipeline, "stop_timeout", 2.0)
    monkeypatch.setattr(cam.driver, "interrupt", cam.hangs.set, raising=False)
    await cam._pipeline.halt()
    assert not cam._pipeline.acquiring
