"""Frames to other processes: the newest for each credit, everything else skipped and counted, the file whole."""

from __future__ import annotations

import asyncio
import threading
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
from rdaq_ophyd.server import Server
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine
from rdaq_ophyd.wire import SERVICE, messages

FRAMES = 40


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
    yield SimpleNamespace(RE=engine, rig=rig, settings=settings)
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
    """What a viewer in another thread gets until it is closed."""
    got = []

    def look():
        for frame in frames:
            got.append(frame)
            do(frame)

    thread = threading.Thread(target=look)
    thread.start()
    return got, thread


def tapped(rig, number):
    """Wait until so many clients listen: a frame before that is nobody's."""
    for _ in range(4000):
        if len(rig.rig["cam"]._pipeline.fan._taps) == number:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"never {number} listened")


def test_a_quick_viewer_sees_frames_as_they_are_and_a_slow_one_skips(client, rig):
    quick, slow = client.frames("cam"), client.frames("cam", scale=4)
    drawn, first = watched(quick)
    release = threading.Event()
    seen, second = watched(slow, lambda frame: release.wait(20))
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
    assert 1 <= len(seen) <= 4  # two credits, what was granted after, and no more while it drew
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
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(f"/{SERVICE}/StreamFrames", messages.FrameCredit.SerializeToString)
        for grants in (
            [messages.FrameCredit(camera="cam", scale=1, credits=1000)],
            [messages.FrameCredit(camera="cam", scale=1), messages.FrameCredit(credits=65)],
        ):
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter(grants), timeout=20))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert list(call(iter([]), timeout=20)) == []
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.stream_stream(f"/{SERVICE}/StreamFrames")(iter([b"\xff\xff"]), timeout=20))
        assert caught.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED


def test_viewers_who_want_the_same_share_it(rig):
    from rdaq_ophyd.server._frames import KEPT, Previews

    async def share():
        previews = Previews()
        ref = SimpleNamespace(sequence=1, host_time=0.5, array=np.arange(64).reshape(8, 8))
        one, other = await asyncio.gather(previews.of("cam", ref, 2), previews.of("cam", ref, 2))
        assert one is other
        np.testing.assert_array_equal(one, ref.array[::2, ::2])
        assert (await previews.of("cam", ref, 4)).shape == (2, 2)
        for number in range(10):
            await previews.of("cam", SimpleNamespace(sequence=number, host_time=1.0, array=ref.array), 2)
        assert len(previews._made) == KEPT
        with pytest.raises(TypeError):
            await previews.of("cam", SimpleNamespace(sequence=99, host_time=1.0, array=None), 2)
        again = SimpleNamespace(sequence=99, host_time=1.0, array=ref.array)
        assert (await previews.of("cam", again, 2)).shape == (4, 4)  # the failure is not kept

    asyncio.run(share())
