"""Connections that a proxy cuts: streams come back and say what is missing; nothing that moves is sent twice."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from awaited import until as awaited
from cutproxy import CutProxy
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.client import RunFailed, aconnect, connect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.errors import ServerGone
from rdaq_ophyd.server import _history
from rdaq_ophyd.server._log import KEPT as LINES

logger = logging.getLogger("rdaq_ophyd.test")
EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}


@pytest.fixture
def proxy(server, home):
    with CutProxy(server.address) as made:
        yield made


@pytest.fixture
def far(proxy):
    """A client behind the proxy."""
    with connect(proxy.address) as made:
        yield made


class Heard:
    """A callback that keeps what it gets."""

    def __init__(self) -> None:
        self.documents = []

    def __call__(self, name, document):
        self.documents.append((name, document))

    @property
    def names(self):
        return [name for name, _ in self.documents]

    def uids(self):
        return [document.get("uid") for _, document in self.documents]


def test_the_log_goes_on_where_it_was_and_counts_what_is_gone(far, proxy):
    gaps, lines = [], []
    log = far.log(level="WARNING", on_gap=gaps.append)

    def read_to(text):
        lines.append(next(log))
        while lines[-1].text != text:
            lines.append(next(log))
        return lines[-1]

    logger.warning("before")
    read_to("before")
    proxy.cut()
    for number in range(5):
        logger.warning("meanwhile %d", number)
    logger.info("too light")
    proxy.mend()
    last = read_to("meanwhile 4")
    assert [line.text for line in lines[-6:]] == ["before", *(f"meanwhile {number}" for number in range(5))]
    assert [(gap.stream, gap.lost, gap.restarted) for gap in gaps] == [("log", 0, False)]
    proxy.cut()
    for number in range(LINES + 40):
        logger.warning("many %d", number)
    proxy.mend()
    first = next(log)
    assert first.text.startswith("many ")
    assert gaps[1].lost == first.number - last.number - 1 >= 40
    log.close()


def test_documents_go_on_without_a_gap(client, far, proxy, until):
    whole, cut, gaps = Heard(), Heard(), []
    ends = client.subscribe(whole), far.subscribe(cut, on_gap=gaps.append)
    run = client.begin("knife_edge_scan", settle=0.02, **EDGE)
    until(lambda: cut.names.count("event") >= 3)
    proxy.cut()
    had = len(cut.documents)
    until(lambda: len(whole.documents) >= had + 3)
    proxy.mend()
    run.wait()
    assert ends[1].wait(run.uids[0])
    assert cut.uids() == whole.uids()
    assert [(gap.stream, gap.lost, gap.restarted) for gap in gaps] == [("documents", 0, False)]
    assert ends[1].gaps == gaps
    for end in ends:
        end()


def test_documents_that_the_server_has_no_more_are_counted(client, far, proxy, until, monkeypatch):
    monkeypatch.setattr(_history, "ROOM", 3_000)
    whole, cut, gaps = Heard(), Heard(), []
    ends = client.subscribe(whole), far.subscribe(cut, on_gap=gaps.append)
    first = client.run("knife_edge_scan", **EDGE)
    assert ends[1].wait(first.uids[0])
    proxy.cut()
    run = client.run("knife_edge_scan", **EDGE)
    proxy.mend()
    assert ends[1].wait(run.uids[0])
    (gap,) = gaps
    assert gap.lost > 0
    assert len(cut.documents) + gap.lost == len(whole.documents)
    for end in ends:
        end()


async def test_documents_go_on_in_async_code_too(proxy, server, home):
    async with await aconnect(proxy.address) as far, await aconnect(server.address) as near:
        gaps, found, whole = [], [], Heard()
        end = await near.subscribe(whole)
        documents = await far.documents(on_gap=gaps.append)
        run = await near.begin("knife_edge_scan", settle=0.02, **EDGE)
        async for name, document in documents:
            found.append((name, document))
            if name == "event" and document["seq_num"] == 3:
                proxy.cut()
                await asyncio.get_running_loop().run_in_executor(None, proxy.mend)
            if name == "stop":
                break
        await documents.close()
        await run.wait()
        assert await end.wait(run.uids[0])
        await end()
        assert [document.get("uid") for _, document in found] == whole.uids()
        assert [gap.lost for gap in gaps] == [0]


def test_who_comes_late_gets_the_run_from_its_start(client, until):
    run = client.begin("knife_edge_scan", settle=0.05, **EDGE)
    until(lambda: client.state.run_uid)
    heard = Heard()
    end = client.subscribe(heard, from_start=True)
    run.wait()
    assert end.wait(run.uids[0])
    assert (heard.names[0], heard.names[-1]) == ("start", "stop")
    assert heard.documents[0][1]["uid"] == run.uids[0]
    end()


def test_a_plan_is_followed_across_a_cut_and_begun_once(far, proxy, client):
    gaps, whole = [], Heard()
    end = client.subscribe(whole)
    run = far.begin("knife_edge_scan", settle=0.03, on_gap=gaps.append, **EDGE)
    assert next(iter(run)).what == What.RUN
    proxy.cut()
    waiting = threading.Thread(target=run.wait)
    waiting.start()
    proxy.mend()
    waiting.join(30)
    assert (run.exit_status, len(run.uids)) == ("success", 1)
    assert [(gap.stream, gap.lost) for gap in gaps] == [("knife_edge_scan", 0)]
    assert end.wait(run.uids[0])
    assert whole.names.count("start") == 1
    end()


async def test_a_plan_is_followed_in_async_code_too(proxy, home):
    async with await aconnect(proxy.address) as far:
        gaps = []
        run = await far.begin("knife_edge_scan", settle=0.03, on_gap=gaps.append, **EDGE)
        proxy.cut()
        proxy.mend()
        await run.wait()
        assert (run.exit_status, len(run.uids), [gap.lost for gap in gaps]) == ("success", 1, [0])


def test_the_state_comes_back(far, proxy, client):
    gaps = []
    watched = far.watch(on_gap=gaps.append)
    assert next(watched).engine == "idle"
    proxy.cut()
    run = client.begin("knife_edge_scan", settle=0.05, **EDGE)
    proxy.mend()
    assert next(state for state in watched if state.engine == "running").plan == "knife_edge_scan"
    assert [gap.stream for gap in gaps] == ["state"]
    watched.close()
    assert list(watched) == []
    run.wait()


def fly(cam, frames):
    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=frames, livetime=0.004, deadtime=0.006), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from bps.collect_while_completing([cam], [cam], flush_period=0.1, stream_name="primary")

    return plan()


def test_frames_that_came_meanwhile_are_counted(far, proxy, session, until):
    gaps, drawn = [], []
    seen = drawn.append
    frames = far.frames("cam", on_gap=gaps.append)

    def look():
        for frame in frames:
            seen(frame)

    viewer = threading.Thread(target=look)
    viewer.start()
    cam = session.rig["cam"]
    until(lambda: len(cam._pipeline.fan._taps) == 1)
    flight = threading.Thread(target=lambda: session.RE(fly(cam, 250)))
    flight.start()
    until(lambda: len(drawn) > 5)
    proxy.cut()
    until(lambda: not cam._pipeline.fan._taps)
    proxy.mend()
    had = len(drawn)
    until(lambda: len(drawn) > had + 3)
    flight.join(30)
    frames.close()
    viewer.join(20)
    (gap,) = gaps
    at = next(i for i in range(1, len(drawn)) if drawn[i].sequence - drawn[i - 1].sequence - 1 == gap.lost and i >= had)
    assert gap.lost > 0
    assert [f.sequence for f in drawn] == sorted({f.sequence for f in drawn})
    assert drawn[at].offered > drawn[at - 1].offered  # they go on counting
    assert all(f.offered - f.skipped <= number for number, f in enumerate(drawn, 1))


async def test_frames_in_async_code(server, home, session):
    async with await aconnect(server.address) as client:
        drawn = []
        seen = drawn.append
        frames = client.frames("cam", scale=2)
        cam = session.rig["cam"]

        async def look():
            async for frame in frames:
                seen(frame)

        viewer = asyncio.create_task(look())
        await awaited(lambda: len(cam._pipeline.fan._taps) == 1)
        await asyncio.to_thread(session.RE, fly(cam, 20))
        await awaited(lambda: drawn)
        await frames.close()
        await viewer
        assert drawn[0].array.shape == (24, 32)
        assert all(f.offered - f.skipped == number for number, f in enumerate(drawn, 1))


async def test_frames_that_were_left_leave_nothing_to_the_loop(server, home, session):
    async with await aconnect(server.address) as client:
        frames, cam = client.frames("cam"), session.rig["cam"]
        first = asyncio.ensure_future(anext(frames))
        await awaited(lambda: len(cam._pipeline.fan._taps) == 1)
        await asyncio.to_thread(session.RE, fly(cam, 20))
        await first
        closing = asyncio.create_task(frames.close())
        await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        await closing
        assert frames._items.ag_frame is None, "it would be closed when the loop is, and complain"


def test_a_move_whose_connection_broke_is_stopped_and_not_sent_again(far, proxy, bench, client, until):
    moves, stops = len(bench.arrivals("esp300", b"1PA")), len(bench.arrivals("esp300", b"1ST"))
    moving = far.devices.x.moving(20.0)
    next(moving)
    until(lambda: len(bench.arrivals("esp300", b"1PA")) > moves)
    proxy.cut()
    with pytest.raises(ServerGone):
        list(moving)
    until(lambda: not client.state.moving)
    proxy.mend()
    assert len(bench.arrivals("esp300", b"1PA")) == moves + 1
    assert len(bench.arrivals("esp300", b"1ST")) > stops
    assert far.read("x")["x"]["value"] < 19  # which is asked again by itself


def test_what_changes_something_is_not_sent_again(far, proxy, bench):
    velocity = far.devices.x.velocity
    assert bench.arrivals("esp300", b"1VA"), "so it would be heard of"
    sent = len(bench.arrivals("esp300", b"1VA4"))  # other modules may have
    proxy.cut()
    with pytest.raises(ServerGone):
        velocity.set(4.0)
    proxy.mend()
    assert velocity.get() == 5.0
    assert len(bench.arrivals("esp300", b"1VA4")) == sent


def test_a_reading_is_asked_again_while_the_line_comes_back(far, proxy, until):
    far.read("x")
    proxy.cut()
    found = []
    reader = threading.Thread(target=lambda: found.append(far.read("x.velocity")))
    reader.start()
    until(lambda: far._calls.broken)
    proxy.mend()
    reader.join(20)
    assert found[0]["x-velocity"]["value"] == 5.0


def test_the_patience_has_an_end(server, home, proxy):
    with connect(proxy.address, patience=0.3) as brief:
        watched, heard = brief.watch(), Heard()
        subscription = brief.subscribe(heard)
        next(watched)
        proxy.cut()
        begun = time.monotonic()
        with pytest.raises(ServerGone):
            next(watched)
        assert time.monotonic() - begun >= 0.3
        assert subscription.wait("never", 20) is False
        assert isinstance(subscription.error, ServerGone)
        subscription()


def test_a_plan_that_fails_is_told_after_a_cut_too(far, proxy, client):
    run = far.begin("knife_edge_scan", **{**EDGE, "settle": 0.05})
    next(iter(run))
    proxy.cut()
    proxy.mend()
    client.abort("enough")
    with pytest.raises(RunFailed, match="enough"):
        run.wait()
