"""Frames to other processes: the newest for each credit, everything else skipped and counted, the file whole."""

from __future__ import annotations

import queue
import threading
import time
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import grpc
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from rdaq_ophyd.client import connect
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.server import Server, _parcels, _previews
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine
from rdaq_ophyd.wire import SERVICE, frame_from, frames_from, messages

FRAMES = 40
CLOCKS = 0.001
"""Seconds by which the clocks of the day and of time that passes may come apart meanwhile, s."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory, nothing_left_by_module):
    """All of a session that a server needs, without catalog and instruments."""
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    with init_devices():
        paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path_factory.mktemp("frames"))
        cam = SyntheticCamera(paths, width=64, height=48)
    rig = Rig("frames")
    rig.devices["cam"] = cam
    settings = SimpleNamespace(data_dir=tmp_path_factory.mktemp("data"))
    yield SimpleNamespace(RE=engine, rig=rig, settings=settings, at_close=lambda call: None)
    call_in_bluesky_event_loop(cam.close(), 10)
    stop_loop(engine)


@pytest.fixture(scope="module")
def server(rig):
    with Server(rig) as made:
        yield made


@pytest.fixture
def client(server):
    with connect(server.address) as made:
        yield made


def fly(engine: RunEngine, cam, frames=FRAMES):
    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=frames, livetime=0.004, deadtime=0.006), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from bps.collect_while_completing([cam], [cam], flush_period=0.1, stream_name="primary")

    engine(plan())


def watched(frames, do=lambda frame: None):
    """What a viewer in another thread gets until it is closed: a growing list, its thread, the stream."""
    got = []

    def look():
        for frame in frames:
            got.append(frame)
            do(frame)

    thread = threading.Thread(target=look)
    thread.start()
    return got, thread, frames


def tapped(rig, number):
    """Wait until so many clients listen: a frame before that is nobody's."""
    for _ in range(4000):
        if len(rig.rig["cam"]._pipeline.fan._taps) == number:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"never {number} listened")


def test_a_quick_viewer_sees_frames_as_they_are_and_a_slow_one_skips(client, rig):
    quick, slow = client.frames("cam"), client.frames("cam", scale=4)
    drawn, first, _ = watched(quick)
    release = threading.Event()
    seen, second, _ = watched(slow, lambda frame: release.wait(20))
    tapped(rig, 2)
    fly(rig.RE, rig.rig["cam"])
    release.set()
    for frames, thread in ((quick, first), (slow, second)):
        frames.close()
        thread.join(20)
        assert not thread.is_alive()
    assert drawn
    assert drawn[0].array.shape == (48, 64)
    assert drawn[0].array.dtype == np.dtype("<u2")
    assert drawn[0].array.std() > 0
    assert [f.sequence for f in drawn] == sorted({f.sequence for f in drawn})
    assert all(f.offered - f.skipped == number for number, f in enumerate(drawn, 1))
    assert seen[0].array.shape == (12, 16)
    assert 1 <= len(seen) <= 4  # what is drawn, the next one, and no more meanwhile
    tapped(rig, 0)


def test_a_client_that_stalls_holds_one_frame_and_loses_none_for_the_file(client, rig):
    stalled = client.frames("cam")
    frames = iter(stalled)
    fetched = threading.Thread(target=lambda: next(frames), daemon=True)
    fetched.start()
    tapped(rig, 1)
    fly(rig.RE, rig.rig["cam"])
    fetched.join(20)
    written = call_in_bluesky_event_loop(rig.rig["cam"].frames_written.get_value(), 5)
    assert written == FRAMES
    assert call_in_bluesky_event_loop(rig.rig["cam"].frames_lost.get_value(), 5) == 0
    stalled.close()
    tapped(rig, 0)


def test_what_is_no_camera_no_scale_and_too_many_credits(client, server):
    with pytest.raises(UnknownName, match="did you mean cam"):
        list(client.frames("cm"))
    with pytest.raises(LimitError, match="scale = 3 → one of 1, 2, 4"):
        list(client.frames("cam", scale=3))
    for number in (0, 257):
        with pytest.raises(LimitError, match=f"credits = {number} → 1 to 256"):
            client.frames("cam", credits=number)
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(f"/{SERVICE}/StreamFrames", messages.FrameCredit.SerializeToString)
        for grants in (
            [messages.FrameCredit(camera="cam", scale=1, credits=1000)],
            [messages.FrameCredit(camera="cam", scale=1), messages.FrameCredit(credits=257)],
        ):
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter(grants), timeout=20))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert list(call(iter([]), timeout=20)) == []
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.stream_stream(f"/{SERVICE}/StreamFrames")(iter([b"\xff\xff"]), timeout=20))
        assert caught.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED


def test_each_preview_is_made_once_for_three_viewers(client, rig, monkeypatch):
    made = []

    def counting(array, scale, every=_previews.every):
        made.append(scale)
        return every(array, scale)

    monkeypatch.setattr(_previews, "every", counting)
    viewers = [watched(client.frames("cam", scale=scale)) for scale in (2, 2, 2, 4, 4, 4)]
    tapped(rig, 6)
    fly(rig.RE, rig.rig["cam"])
    for got, thread, stream in viewers:
        stream.close()
        thread.join(20)
        assert got
    for scale, few in ((2, viewers[:3]), (4, viewers[3:])):
        distinct = {frame.sequence for got, _, _ in few for frame in got}
        drawn = sum(len(got) for got, _, _ in few)
        # One more for each viewer may have been made and not drawn, when it was closed.
        assert len(distinct) <= made.count(scale) <= len(distinct) + 3
        assert made.count(scale) < drawn


def test_nothing_is_done_for_frames_that_nobody_takes(client, server, rig, monkeypatch):
    """Three clients that stall have one frame each; the 39 others cost no preview and no message."""
    previews, messages_made = [], []

    class Counting(_parcels._Parcel):
        def begin(self, header, pixels):
            messages_made.append(header.sequence)
            super().begin(header, pixels)

    monkeypatch.setattr(_parcels, "_Parcel", Counting)
    monkeypatch.setattr(_previews, "every", lambda array, scale: (previews.append(scale), array[::scale, ::scale])[1])
    with grpc.insecure_channel(server.address) as channel:
        open_calls = []
        for scale in (1, 2, 4):
            grants = queue.SimpleQueue()
            grants.put(messages.FrameCredit(camera="cam", scale=scale, credits=1))
            call = channel.stream_stream(f"/{SERVICE}/StreamFrames", messages.FrameCredit.SerializeToString)
            open_calls.append((grants, call(iter(grants.get, None), timeout=60)))
        tapped(rig, 3)
        fly(rig.RE, rig.rig["cam"])
        for grants, call in open_calls:
            next(call)
            grants.put(None)
            call.cancel()
    tapped(rig, 0)
    assert len(messages_made) == 3
    assert sorted(previews) == [2, 4]


def test_each_header_tells_how_long_its_credit_lay_there(server, rig):
    """Eight credits lie there while their frames come; one more comes when a frame lies ready for it."""
    with grpc.insecure_channel(server.address) as channel:
        grants = queue.SimpleQueue()
        grants.put(messages.FrameCredit(camera="cam", scale=1, credits=8))
        call = channel.stream_stream(f"/{SERVICE}/StreamFrames", messages.FrameCredit.SerializeToString)
        coming = call(iter(grants.get, None), timeout=60)
        tapped(rig, 1)
        fly(rig.RE, rig.rig["cam"])
        first, *others = (frame_from(next(coming))[0] for _ in range(8))
        began = time.monotonic()
        grants.put(messages.FrameCredit(credits=1))
        ready = frame_from(next(coming))[0]
        took = time.monotonic() - began
        grants.put(None)
        assert not list(coming)
    tapped(rig, 0)
    for header in others:
        later = header.host_time - first.host_time  # each was chosen between its arrival and the making of its message
        assert later - first.age - CLOCKS <= header.waited - first.waited <= later + header.age + CLOCKS
    assert first.waited > 0
    assert 0 <= ready.waited <= took


@pytest.mark.parametrize("together", [False, True])
def test_small_frames_come_together_for_those_who_say_so_and_take_a_credit_each(server, rig, together):
    """Frames come while the first message is being sent: none is read until all are taken."""
    got = []
    with grpc.insecure_channel(server.address) as channel:
        grants = queue.SimpleQueue()
        grants.put(messages.FrameCredit(camera="cam", scale=1, credits=12, together=together))
        call = channel.stream_stream(f"/{SERVICE}/StreamFrames", messages.FrameCredit.SerializeToString)
        coming = call(iter(grants.get, None), timeout=60)
        tapped(rig, 1)
        fly(rig.RE, rig.rig["cam"])
        while sum(map(len, got)) < 12:
            got.append([header for header, _ in frames_from(next(coming))])
        grants.put(None)  # and no more of them
        assert not list(coming)
    tapped(rig, 0)
    if not together:
        assert all(len(each) == 1 for each in got)
    headers = [header for each in got for header in each]
    assert len(headers) == 12
    assert [header.offered - header.skipped for header in headers] == list(range(1, 13))
    assert [header.sequence for header in headers] == sorted({header.sequence for header in headers})
