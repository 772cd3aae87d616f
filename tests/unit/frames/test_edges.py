"""Exposures that edges start: each edge is a frame, or a number that says why it is none."""

import asyncio

import h5py
import pytest
from ophyd_async.core import DetectorTrigger, TriggerInfo

from rdaq_ophyd.errors import CameraError, LimitError
from rdaq_ophyd.frames import DATA, EdgeTriggered, SyntheticDriver, SyntheticLoad, column_path


def edges(number, livetime=0.002, **kwargs):
    return TriggerInfo(
        number_of_events=number, livetime=livetime, trigger=DetectorTrigger.EXTERNAL_EDGE, deadtime=0.01, **kwargs
    )


async def started(cam):
    async with asyncio.timeout(10):
        while cam.driver._stopped.is_set():  # noqa: ASYNC110  a turn of the loop, bounded
            await asyncio.sleep(0)


async def fire(cam, rows):
    """One edge, until its frame is in the file."""
    await started(cam)
    assert cam.driver.fire()
    async for _ in cam._pipeline.progress(rows, 10):
        pass


def path_of(tmp_path):
    (path,) = tmp_path.glob("*.h5")
    return path


async def test_each_edge_is_one_frame(cam, tmp_path):
    assert isinstance(cam.driver, EdgeTriggered)
    await cam.stage()
    await cam.prepare(edges(3))
    await cam.kickoff()
    status = cam.complete()
    for rows in (1, 2):
        await fire(cam, rows)
        assert await cam.frames_written.get_value() == rows
    assert not status.done, "no edge, no frame"
    await fire(cam, 3)
    await status
    await cam.unstage()
    with h5py.File(path_of(tmp_path)) as file:
        assert list(file[column_path("sequence_numbers")]) == [0, 1, 2]


async def test_after_the_kickoff_no_edge_is_missed(cam):
    await cam.stage()
    await cam.prepare(edges(1))
    assert not cam.driver.fire(), "prepared is not armed"
    await cam.kickoff()
    assert cam.driver.fire()
    await cam.complete()
    await cam.unstage()


async def test_a_step_waits_for_its_edge(cam):
    await cam.stage()
    await cam.prepare(edges(1))
    status = cam.trigger()
    await fire(cam, 1)
    await status
    assert (await cam.read())["cam-mean"]["value"] > 0
    await cam.unstage()


async def test_an_edge_within_an_exposure_is_missed(cam):
    await cam.stage()
    await cam.prepare(edges(1, livetime=20.0))
    await cam.kickoff()
    await started(cam)
    assert cam.driver.fire()
    assert not cam.driver.fire()
    assert not cam.driver.fire()
    assert cam.driver.missed_edges == 2
    await cam.stop()
    assert not cam.driver.fire(), "a stopped camera sees no edge"
    await cam.unstage()


async def test_no_edge_in_time_is_told(cam):
    await cam.stage()
    await cam.prepare(edges(1, exposure_timeout=0.05))
    with pytest.raises(CameraError, match=r"no frame within 0\.05 s .* check trigger"):
        await cam.trigger()
    await cam.unstage()


async def test_the_next_stage_is_timed_by_the_camera_again(cam, tmp_path):
    await cam.stage()
    await cam.prepare(edges(1))
    await cam.unstage()
    await cam.stage()
    await cam.trigger()
    await cam.unstage()
    with h5py.File(path_of(tmp_path)) as file:
        assert file[DATA].shape[0] == 1


async def test_the_line_is_recorded_and_checked(cam):
    assert (await cam.read_configuration())["cam-trigger_line"]["value"] == "Line1"
    await cam.trigger_line.set("Line1")
    with pytest.raises(LimitError, match="no trigger input 'Line9' → it has Line1"):
        await cam.trigger_line.set("Line9")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_frames_lost_on_the_way_use_up_their_edges(seed):
    driver = SyntheticDriver(4, 4, load=SyntheticLoad(loss=0.5, seed=seed))
    driver.open()
    driver.set_exposure(0.001)
    driver.arm_edges("Line1")
    driver.start(0.0)
    numbers = []
    for edge in range(30):
        while not driver.fire():
            pass
        if (ref := driver.next_frame(5.0)) is not None:
            assert ref.sequence == edge
            numbers.append(ref.sequence)
            ref.release()
    assert 0 < len(numbers) < 30
    assert driver.acquired == 30
    assert driver.lost_after_last() == 29 - numbers[-1]
    driver.close()


def test_an_edge_without_a_free_buffer_is_a_lost_frame():
    driver = SyntheticDriver(4, 4, buffers=1)
    driver.open()
    driver.set_exposure(0.001)
    driver.arm_edges("Line1")
    driver.start(0.0)
    assert driver.fire()
    held = driver.next_frame(5.0)
    for expected in (None, 2):
        while not driver.fire():
            pass
        ref = driver.next_frame(5.0)
        assert (ref and ref.sequence) == expected
        if expected is None:
            held.release()
    ref.release()
    driver.close()
