"""Taps: the newest frame, what is skipped is counted, and nobody waits for them."""

import asyncio
import gc
import logging
import threading

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.errors import FrameReleased
from rdaq_ophyd.frames import DATA, FanOut, FrameRef, FrameTap, LeaseBook, TapCounts, sequence_of


class Source:
    """Offers frames to a tap and knows which buffers came back."""

    def __init__(self, *taps):
        self.taps, self.back, self.book, self.next = taps, [], LeaseBook("cam"), 0

    def offer(self):
        number, self.next = self.next, self.next + 1
        pixels = np.full((2, 4), number, "<u2")
        with FrameRef(
            pixels, sequence=number, host_time=0.0, camera="cam", book=self.book,
            give_back=lambda: self.back.append(number),
        ) as ref:  # fmt: skip
            for tap in self.taps:
                tap.offer(ref)
        return number


def test_the_newest_frame_is_handed_out_once():
    tap = FrameTap("view")
    source = Source(tap)
    for _ in range(3):
        source.offer()
    with tap.take(0) as ref:
        assert (ref.sequence, ref.array[0, 0]) == (2, 2)
        assert source.back == [0, 1]
    assert source.back == [0, 1, 2]
    assert tap.take(0) is None
    assert tap.counts == TapCounts(offered=3, taken=1, skipped=2, pending=0)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_a_reader_that_stalls_keeps_so_many_buffers_and_no_more(keep):
    tap = FrameTap("view", keep=keep)
    source = Source(tap)
    kept = []
    for _ in range(20):
        source.offer()
        if (ref := tap.take(0)) is not None:
            kept.append(ref)
    assert [ref.sequence for ref in kept] == list(range(keep))
    assert len(source.book) == keep
    assert tap.counts == TapCounts(20, keep, 20 - keep, 0)
    kept.pop(0).release()
    assert source.offer() == tap.take(0).sequence == 20


def test_an_array_counts_as_long_as_it_lives():
    tap = FrameTap("view")
    source = Source(tap)
    source.offer()
    with tap.take(0) as ref:
        corner = ref.array[:1, :1]
    source.offer()
    assert tap.take(0) is None
    assert source.back == [1]
    assert corner[0, 0] == 0
    del corner
    gc.collect()
    source.offer()
    with tap.take(0) as ref:
        assert ref.sequence == 2


def test_closing_gives_the_frame_back_and_wakes_whoever_waits():
    fan = FanOut()
    tap = fan.open("view", 1)
    source = Source(fan)
    source.offer()
    tap.close()
    tap.close()
    assert source.back == [0]
    assert tap.take() is None
    assert tap.counts == TapCounts(1, 0, 1, 0)
    assert source.offer() == 1
    assert tap.counts.offered == 1
    waiting = fan.open("view", 1)
    got = []
    thread = threading.Thread(target=lambda: got.extend(waiting))
    thread.start()
    fan.close()
    thread.join(10)
    assert not thread.is_alive()
    assert not got


@pytest.mark.parametrize("keep", [0, -1])
def test_a_reader_holds_at_least_one(keep):
    with pytest.raises(ValueError, match=f"tap view: keep={keep}"):
        FrameTap("view", keep=keep)


async def test_an_event_loop_waits_without_blocking():
    with FrameTap("view") as tap:
        source = Source(tap)
        assert await tap.next(timeout=0.001) is None
        waiting = asyncio.ensure_future(tap.next())
        await asyncio.sleep(0)
        threading.Thread(target=source.offer).start()
        with await asyncio.wait_for(waiting, 10) as ref:
            assert ref.sequence == 0
        cancelled = asyncio.ensure_future(tap.next())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        source.offer()
        numbers = []
        async for ref in tap:
            with ref:
                numbers.append(ref.sequence)
            if source.next == 4:
                tap.close()
            else:
                source.offer()
    assert numbers == [1, 2, 3]
    assert tap.closed


def test_an_event_loop_that_ended_stops_no_camera():
    tap = FrameTap("view")
    loop = asyncio.new_event_loop()
    task = loop.create_task(tap.next())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    Source(tap).offer()
    assert tap.counts.pending == 1
    task._log_destroy_pending = False
    tap.close()


@given(st.lists(st.sampled_from(["offer", "take", "release", "drop array"]), max_size=60), st.integers(1, 3))
def test_every_frame_is_accounted_for(steps, keep):
    tap = FrameTap("view", keep=keep)
    source, held, arrays = Source(tap), [], []
    for step in steps:
        if step == "offer":
            source.offer()
        elif step == "take" and (ref := tap.take(0)) is not None:
            held.append(ref)
            arrays.append(ref.array)
        elif step == "release" and held:
            held.pop().release()
        elif step == "drop array" and arrays:
            arrays.pop()
        counts = tap.counts
        assert counts.offered == source.next == counts.taken + counts.skipped + counts.pending
        assert len(source.book) == source.next - len(source.back) <= keep + 1
    tap.close()
    for ref in held:
        ref.release()
    arrays.clear()
    assert len(source.book) == 0
    assert sorted(source.back) == list(range(source.next))


def test_a_lease_that_leaks_is_named_with_its_holder(caplog):
    tap = FrameTap("drawing")
    source = Source(tap)
    source.offer()
    ref = tap.take(0)
    with caplog.at_level(logging.WARNING):
        source.book.warn_overdue(-1)
        assert "cam: frame 0 (held by tap drawing) has kept its buffer" in caplog.text
        assert "release it, or copy the array" in caplog.text
    array = ref.array
    ref.release()
    with pytest.raises(FrameReleased):
        ref.share()
    source.book._named.clear()
    with caplog.at_level(logging.WARNING):
        source.book.warn_overdue(-1)
        assert "it was released, but an array taken from it is alive" in caplog.text
    del array
    assert len(source.book) == 0


def test_a_frame_that_a_reader_forgot_is_named_with_it(caplog):
    tap = FrameTap("drawing")
    Source(tap).offer()
    with caplog.at_level(logging.WARNING):
        tap.take(0)
        gc.collect()
    assert "cam: frame 0 was dropped by tap drawing without release()" in caplog.text


async def test_taps_of_a_camera_miss_frames_the_file_does_not(cam, tmp_path):
    fast, stalled = cam.tap("fast"), cam.tap("stalled")
    seen, kept = [], []

    def read():
        for ref in fast:
            with ref:
                seen.append(sequence_of(ref.array))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        await cam.stage()
        await cam.prepare(TriggerInfo(number_of_events=40, livetime=0.001))
        await cam.kickoff()
        kept.append(await stalled.next(timeout=10))
        await cam.complete()
        await cam.unstage()
    finally:
        fast.close()
        stalled.close()
        reader.join(10)
        for ref in kept:
            ref.release()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        written = [sequence_of(frame) for frame in file[DATA]]
    assert len(written) == 40
    assert set(seen) <= set(written)
    assert seen == sorted(seen)
    for tap in (fast, stalled):
        assert tap.counts.offered == 40 == tap.counts.taken + tap.counts.skipped
    assert stalled.counts.taken == 1
    assert len(cam.driver.book) == 0


async def test_closing_the_camera_ends_its_taps(cam):
    tap = cam.tap("view")
    await cam.close()
    assert tap.closed


def test_a_cameras_counts_have_those_who_left():
    fan = FanOut()
    slow, quick = fan.open("slow", 1), fan.open("quick", 1)
    source = Source(fan)
    for _ in range(4):
        source.offer()
        quick.take(0).release()
    assert fan.counts == TapCounts(offered=8, taken=4, skipped=3, pending=1)
    slow.close()
    quick.close()
    quick.close()
    assert fan.counts == TapCounts(offered=8, taken=4, skipped=4, pending=0)
    source.offer()
    assert fan.counts.offered == 8
