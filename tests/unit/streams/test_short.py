"""An acquisition that has ended short of what somebody waits for: the wait ends too, and says how many came."""

import asyncio
import threading

import pytest
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider
from parts import until
from rows import collect_saved, wait_rows

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import FramePipeline
from rdaq_ophyd.frames._layout import FrameFile
from rdaq_ophyd.stop import pause

PATIENCE = 60.0
"""Of a wait, s: longer than the test may take."""
SHORT = "its acquisition has ended after {} of {} frames → what came is in the file"


@pytest.fixture
async def cam(tmp_path):
    made = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), tmp_path), "cam", width=16, height=8)
    await made.connect()
    await made.stage()
    yield made
    pause.clear()
    await made.unstage()
    await made.close()


@pytest.fixture
def gate(monkeypatch):
    """The disk answers once it is open; it is opened when the test is over."""
    made, append = threading.Event(), FrameFile.append
    monkeypatch.setattr(FrameFile, "append", lambda *items: (made.wait(30), append(*items))[1])
    yield made
    made.set()


def fly(number, timeout=PATIENCE):
    return TriggerInfo(number_of_events=number, livetime=0.002, exposure_timeout=timeout)


async def taken(cam, number):
    """The camera has taken so many, and has stopped."""
    await cam.prepare(fly(number))
    await cam._acquire.start_acquiring(number)


async def waits(cam, target, timeout=PATIENCE):
    return [rows async for rows in cam._pipeline.progress(target, timeout)]


async def test_who_waits_for_more_than_was_to_be_taken_is_told_at_once(cam):
    await taken(cam, 3)
    async with asyncio.timeout(PATIENCE / 4):
        with pytest.raises(CameraError, match=SHORT.format(3, 5)):
            await waits(cam, 5)
    assert (await waits(cam, 3))[-1] == 3


async def test_each_number_is_told_once(cam):
    await taken(cam, 20)
    told = await waits(cam, 20)
    assert told == sorted(set(told))
    assert told[-1] == 20


async def test_a_camera_that_is_in_no_plan_when_a_plan_pauses_does_not_wait_for_ever_afterwards(cam):
    await cam.prepare(fly(10_000, 0.2))
    await cam.kickoff()
    await wait_rows(cam, 3)
    flight = asyncio.ensure_future(cam.complete())
    pause.set()
    await until(lambda: not cam._pipeline.acquiring)
    assert not (await asyncio.wait({flight}, timeout=0.5))[0], "nobody knows yet what comes of the pause"
    pause.clear()
    with pytest.raises(CameraError, match=SHORT.format(r"\d+", 10_000)):
        await asyncio.wait_for(flight, PATIENCE / 4)


async def test_a_camera_that_somebody_else_stopped_ends_the_wait_after_its_time(cam):
    await cam.prepare(fly(10_000, 0.2))
    await cam.kickoff()
    flight = asyncio.ensure_future(cam.complete())
    await wait_rows(cam, 3)
    await cam._pipeline.halt()
    with pytest.raises(CameraError, match=SHORT.format(r"\d+", 10_000)):
        await asyncio.wait_for(flight, PATIENCE / 4)


async def test_whoever_a_pause_has_stopped_waits_for_what_is_taken_after_it(cam):
    await cam.prepare(fly(30, 0.4))
    await cam.kickoff()
    old = asyncio.ensure_future(cam.complete())
    await wait_rows(cam, 4)
    await cam.pause()
    assert not (await asyncio.wait({old}, timeout=0.5))[0]
    await cam.resume()
    await cam.complete()
    await asyncio.wait_for(old, PATIENCE / 4)
    assert (await collect_saved(cam))[-1][1]["indices"] == {"start": 0, "stop": 30}


async def test_what_waits_for_a_slow_disk_is_still_to_come(cam, gate):
    await taken(cam, 3)
    await until(lambda: not cam._pipeline.acquiring)
    waiting = asyncio.ensure_future(waits(cam, 3))
    assert not (await asyncio.wait({waiting}, timeout=0.5))[0]
    gate.set()
    assert (await waiting)[-1] == 3


async def test_a_disk_that_does_not_answer_ends_the_wait_too(cam, gate, monkeypatch):
    monkeypatch.setattr(FramePipeline, "close_timeout", 0.2)
    await taken(cam, 3)
    await until(lambda: not cam._pipeline.acquiring)
    with pytest.raises(CameraError, match="0 of 3 frames were written, and none for 0 s → check the disk"):
        await waits(cam, 3, 0.2)
    gate.set()
