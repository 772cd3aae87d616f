"""Pause and resume of a camera: no frame too many, none too few."""

import asyncio

import h5py
import pytest
from bluesky.utils import NoReplayAllowed
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import DATA, sequence_of


async def exposing(cam):
    """Wait until the camera takes a frame."""
    while not cam._pipeline.acquiring:  # noqa: ASYNC110  the wait is a turn of the loop, and bounded by the caller
        await asyncio.sleep(0)


def fly(number, **kwargs):
    return TriggerInfo(number_of_events=number, livetime=0.002, **kwargs)


async def collect(cam):
    return [document async for document in cam.collect_asset_docs()]


def path_of(docs):
    return next(d["uri"] for name, d in docs if name == "stream_resource").removeprefix("file://localhost")


async def wait_rows(cam, number):
    async with asyncio.timeout(20):
        async for _ in cam._pipeline.progress(number, 10):
            pass


async def test_pause_without_anything_open_does_nothing(cam):
    await cam.pause()
    await cam.resume()
    await cam.stage()
    await cam.trigger()
    await collect_saved(cam)
    await cam.pause()
    await cam.resume()
    assert await cam.frames_written.get_value() == 1
    await cam.unstage()


async def collect_saved(cam):
    """Collect as the engine does, which completes each datum that it emits."""
    docs = await collect(cam)
    for name, document in docs:
        if name == "stream_datum":
            document["descriptor"] = "emitted"
    return docs


async def test_a_point_interrupted_between_read_and_save_is_taken_again(cam):
    await cam.stage()
    await cam.trigger()
    first = await collect(cam)  # read, but the engine threw the documents away
    await cam.pause()
    assert await cam.frames_written.get_value() == 0
    await cam.resume()
    await cam.trigger()
    docs = await collect_saved(cam)
    assert [name for name, _ in docs] == [name for name, _ in first]
    assert docs[1][1]["indices"] == {"start": 0, "stop": 1}
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert [sequence_of(f) for f in file[DATA]] == [1]


async def test_a_pause_within_an_exposure_and_the_replayed_trigger(cam):
    await cam.stage()
    await cam.exposure.set(20)
    old = cam.trigger()
    async with asyncio.timeout(10):
        await exposing(cam)
    async with asyncio.timeout(5):
        await cam.pause()
    assert not cam._pipeline.acquiring
    with pytest.raises(CameraError, match="no frame to read"):
        await cam.read()
    await cam.resume()
    await cam.exposure.set(0.001)
    await cam.trigger()
    await old
    docs = await collect_saved(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[DATA].shape[0] == 1


async def test_a_flight_collected_in_part_goes_on_and_refuses_the_replay(cam, caplog):
    await cam.stage()
    await cam.prepare(fly(40))
    await cam.kickoff()
    await wait_rows(cam, 5)
    docs = await collect_saved(cam)
    kept = docs[-1][1]["indices"]["stop"]
    await wait_rows(cam, kept + 2)
    with pytest.raises(NoReplayAllowed):
        await cam.pause()
    assert await cam.frames_written.get_value() == kept
    assert f"paused with {kept} of 40 frames collected" in caplog.text
    await cam.resume()
    docs += await collect_saved(cam)
    await cam.complete()
    assert docs[-1][1]["indices"] == {"start": kept, "stop": 40}
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[DATA].shape[0] == 40
        assert file["/entry/exit_status"][()] == b"complete"
        numbers = [sequence_of(f) for f in file[DATA]]
        assert numbers == sorted(set(numbers))


async def test_a_flight_of_which_nothing_was_collected_starts_anew(cam):
    await cam.stage()
    await cam.prepare(fly(30))
    await cam.kickoff()
    old = cam.complete()
    await wait_rows(cam, 4)
    await cam.pause()
    assert await cam.frames_written.get_value() == 0
    assert await cam.frames_discarded.get_value() >= 4
    await cam.resume()
    assert not cam._pipeline.acquiring
    await cam.prepare(fly(30))
    await cam.kickoff()
    await cam.complete()
    await old
    docs = await collect_saved(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[DATA].shape[0] == 30


async def test_a_replay_that_begins_after_the_kickoff_starts_the_camera_too(cam):
    await cam.stage()
    await cam.prepare(fly(10))
    await cam.kickoff()
    await wait_rows(cam, 2)
    await cam.pause()
    await cam.resume()
    await cam.complete()
    docs = await collect_saved(cam)
    assert docs[-1][1]["indices"] == {"start": 0, "stop": 10}
    await cam.unstage()
