"""A live Arrow stream of a camera's frames: what was taken is in it, whatever its reader does."""

import asyncio
import os
import threading

import h5py
import numpy as np
import pytest
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.errors import CameraError, DataDirectoryError, FrameStreamError
from rdaq_ophyd.frames import ArrowFeed, FrameStream, column_path, read_frames, sequence_of
from rdaq_ophyd.frames import _arrow_feed as module


async def fly(cam, frames=30):
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=frames, livetime=0.001))
    await cam.kickoff()
    await cam.complete()
    await cam.unstage()


def shown(batches):
    return [sequence_of(np.asarray(batch.column("data").to_numpy_ndarray()[0])) for batch in batches]


async def test_frames_that_were_taken_are_in_the_file(cam, tmp_path):
    path = tmp_path / "live.arrows"
    with await asyncio.to_thread(ArrowFeed, cam, path) as feed:
        await fly(cam)
    numbers = shown(read_frames(path))
    assert numbers == sorted(set(numbers))
    assert feed.counts.offered == 30
    assert feed.counts.taken == len(numbers) > 0
    assert len(cam.driver.book) == 0


async def test_frames_are_numbered_as_in_the_file(cam, tmp_path):
    path = tmp_path / "live.arrows"
    with await asyncio.to_thread(ArrowFeed, cam, path) as feed:
        await cam.stage()
        for number in range(1, 5):
            await cam.trigger()
            async for _ in cam.collect_asset_docs():
                pass
            async with asyncio.timeout(10):
                while feed.counts.taken < number:  # noqa: ASYNC110  a turn of the loop, bounded
                    await asyncio.sleep(0)
        await cam.unstage()
    (written,) = tmp_path.glob("*.h5")
    with h5py.File(written) as file:
        numbers = file[column_path("sequence_numbers")][:].tolist()
    assert numbers == sorted(set(numbers))
    assert [batch.column("sequence_numbers")[0].as_py() for batch in read_frames(path)] == numbers


async def test_a_reader_sees_them_as_they_come_and_the_end(cam):
    out, into = os.pipe()
    got = []

    def read():
        with os.fdopen(out, "rb", buffering=0) as raw:
            got.extend(shown(FrameStream(raw, timeout=10)))

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(into, "wb", buffering=0) as raw, await asyncio.to_thread(ArrowFeed, cam, raw) as feed:
        await fly(cam)
    reader.join(10)
    assert not reader.is_alive()
    assert len(got) == feed.counts.taken > 0


async def test_a_reader_that_goes_away_ends_the_stream_and_no_run(cam):
    out, into = os.pipe()
    os.close(out)
    with os.fdopen(into, "wb", buffering=0) as raw:
        with pytest.raises(FrameStreamError):
            await asyncio.to_thread(ArrowFeed, cam, raw)
        out, other = os.pipe()
        with os.fdopen(other, "wb", buffering=0) as raw2:
            feed = await asyncio.to_thread(ArrowFeed, cam, raw2)
            os.close(out)
            await fly(cam)
            with pytest.raises(FrameStreamError, match="the reader went away"):
                await asyncio.to_thread(feed.close)
    assert await cam.frames_written.get_value() == 30


async def test_a_reader_that_does_not_read_costs_closing_a_bounded_time(cam, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    await cam.roi.width.set(16)
    out, into = os.pipe()
    raw = os.fdopen(into, "wb", buffering=0)
    feed = await asyncio.to_thread(ArrowFeed, cam, raw)
    taken = -1
    while feed.counts.taken != taken:  # until a whole flight finds the pipe full
        taken = feed.counts.taken
        await fly(cam, 200)
    with pytest.raises(FrameStreamError, match="has not read"):
        await asyncio.to_thread(feed.close)
    assert feed._thread.is_alive()
    await asyncio.to_thread(feed.close)
    assert len(cam.driver.book) == 0, "the camera has all of its buffers"
    os.close(out)
    await asyncio.to_thread(feed._thread.join, 10)
    raw.close()


async def test_frames_of_another_shape_end_the_stream(cam, tmp_path):
    feed = await asyncio.to_thread(ArrowFeed, cam, tmp_path / "live.arrows")
    await cam.roi.width.set(8)
    await fly(cam)
    with pytest.raises(CameraError, match=r"frames are \(8, 8\) of <u2 now, its Arrow stream began with \(8, 16\)"):
        await asyncio.to_thread(feed.close)
    await asyncio.to_thread(feed.close)


async def test_a_file_that_is_there_is_kept(cam, tmp_path):
    path = tmp_path / "live.arrows"
    path.write_text("mine")
    with pytest.raises(DataDirectoryError):
        await asyncio.to_thread(ArrowFeed, cam, path)
    assert path.read_text() == "mine"
