"""Plans for clients and moves by hand on one engine: who is let in, and what is told of a plan's end."""

from __future__ import annotations

import asyncio
import gc
import threading
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
import pytest_asyncio
from awaited import until
from scripted import a_lab

from rdaq_ophyd.errors import EngineBusy, MoveInterrupted
from rdaq_ophyd.server._devices import Devices, _Watching
from rdaq_ophyd.server._flow import What
from rdaq_ophyd.server._runs import Runs
from rdaq_ophyd.stop import latch, reset
from rdaq_ophyd.wire import messages


@pytest.fixture(scope="module")
def lab(nothing_left_by_module):
    with a_lab() as made:
        yield made


@pytest_asyncio.fixture
async def rig(lab):
    lab.log.clear()
    runs = Runs(lab.RE, asyncio.get_running_loop())
    devices = Devices(SimpleNamespace(RE=lab.RE, rig=lab.rig))
    yield SimpleNamespace(runs=runs, devices=devices, RE=lab.RE, log=lab.log, x=lab.rig["x"])
    lab.rig["x"].free = True
    await until(lambda: not lab.RE.turns.plan and not lab.RE.turns.moving)
    runs.close()
    await asyncio.sleep(0)


def move(rig, target=-1.0):
    return rig.devices.move(messages.MoveRequest(name="x", target=target))


async def begun(rig, plan, name="scan"):
    """The rest of what is told of it."""
    events = rig.runs.run(name, plan, {})
    assert (await anext(events)).what == What.BEGUN
    return events


async def the_end(events):
    async for event in events:
        if event.what == What.ENDED:
            return event
    raise AssertionError("it never ended")


async def test_once_a_plan_is_begun_nothing_is_moved_by_hand(rig):
    rig.x.free = False
    events = await begun(rig, bps.mv(rig.x, 1))
    assert rig.runs.engine_state == "running"  # whether the engine has come so far or not
    with pytest.raises(EngineBusy, match="x was not touched: scan is"):
        await anext(move(rig))
    rig.x.free = True
    assert (await the_end(events)).exit_status == "success"
    assert "x moves to -1" not in rig.log


async def test_of_a_plan_and_a_move_at_once_one_is_refused(rig):
    for delay in range(6):
        rig.x.free = False

        async def plan():
            return await the_end(rig.runs.run("scan", bps.mv(rig.x, 1), {}))

        async def by_hand(turns=delay):
            for _ in range(turns):
                await asyncio.sleep(0)
            async for _progress in move(rig):
                pass

        both = [asyncio.create_task(plan()), asyncio.create_task(by_hand())]
        await until(lambda both=both: any(task.done() for task in both))
        rig.x.free = True
        done = await asyncio.gather(*both, return_exceptions=True)
        assert [isinstance(result, EngineBusy) for result in done].count(True) == 1, done


async def test_two_do_not_move_one_axis(rig):
    rig.x.free = False
    first = asyncio.create_task(collected(move(rig, 3.0)))
    await until(lambda: rig.x.moving)
    with pytest.raises(EngineBusy, match="x was not touched: nobody moves x"):
        await anext(move(rig, -1.0))
    rig.x.free = True
    assert (await first)[-1].done
    assert [line for line in rig.log if "moves" in line] == ["x moves to 3"]


@pytest.mark.parametrize("stopped", ["x", "everything"])
async def test_a_stop_that_comes_before_a_move_has_begun_is_not_overtaken(rig, monkeypatch, stopped):
    """Neither by the move of one device, nor, after a reset, by that of a rig."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def where(_name, _device):
        asked.set()
        await go.wait()
        return 0.0

    monkeypatch.setattr(rig.devices, "_where", where)
    moving = asyncio.create_task(collected(move(rig)))
    await asked.wait()
    assert rig.devices.moving == ["x"]
    if stopped == "x":
        await rig.devices.stop("x")
    else:
        latch.trip("somebody waved", "ada")
        reset("nobody was hurt", force=True)
    go.set()
    with pytest.raises(MoveInterrupted, match="x: told to stop before it set out for -1; nothing was sent"):
        await moving
    assert not any("moves" in line for line in rig.log)
    monkeypatch.undo()
    assert (await collected(move(rig)))[-1].done  # one that was asked for later


async def collected(stream):
    return [each async for each in stream]


@pytest.mark.parametrize("open_run", [True, False])
@pytest.mark.parametrize(("how", "status", "words"), [
    ("stop", "success", "finished early"), ("abort", "abort", "aborted"), ("halt", "abort", "halted"),
])  # fmt: skip
async def test_what_is_told_of_a_plan_that_was_paused_and_then_ended(rig, how, status, words, open_run):
    rig.x.free = False
    plan = bpp.pchain(bps.checkpoint(), bps.mv(rig.x, 1))
    events = await begun(rig, bpp.run_wrapper(plan) if open_run else plan)
    await until(lambda: rig.x.moving)
    await rig.runs.pause(at_checkpoint=False)
    assert rig.runs.engine_state == "paused"
    await rig.runs.resume(None)
    await until(lambda: rig.x.moving)
    await rig.runs.end(getattr(rig.RE, how))
    end = await the_end(events)
    assert end.exit_status == status
    assert end.reason == ("" if open_run else words)


async def test_a_person_at_the_prompt_is_told_whose_plan_is_under_way(rig):
    rig.x.free = False
    events = await begun(rig, bps.mv(rig.x, 1), "knife_edge")
    with pytest.raises(EngineBusy, match="was not begun: knife_edge is"):
        await asyncio.to_thread(rig.RE, bps.null())
    rig.x.free = True
    await the_end(events)


def test_a_plan_that_outlasts_the_server_leaves_no_task(lab, recwarn):
    lab.rig["x"].free = False
    loop = asyncio.new_event_loop()

    async def serve():
        runs = Runs(lab.RE, loop)
        events = runs.run("scan", bps.mv(lab.rig["x"], 1), {})
        await anext(events)
        await until(lambda: lab.rig["x"].moving)
        await events.aclose()
        runs.close()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    left = loop.run_until_complete(serve())
    loop.close()
    lab.rig["x"].free = True
    assert lab.RE.turns.wait_over(10)
    assert left == []
    gc.collect()


@pytest.mark.parametrize("busy", [False, True])
async def test_whoever_leaves_stops_the_move_however_busy_the_engine_is(lab, busy):
    """The loop that is to move it comes to that only after the client has left."""
    held, go_on = threading.Event(), threading.Event()
    axis = SimpleNamespace(name="x", sent=[], stopped=0)

    def set_it(target):
        axis.sent.append(target)
        return asyncio.ensure_future(asyncio.sleep(30))

    async def stop(success=True):
        axis.stopped += 1

    axis.set, axis.stop = set_it, stop
    if busy:
        lab.RE.loop.call_soon_threadsafe(lambda: (held.set(), go_on.wait(10)))
        await asyncio.to_thread(held.wait, 10)

    async def call():
        async with _Watching(lab.RE.loop, axis, 1.0, asyncio.Queue(1), lambda: None, 0):
            await asyncio.sleep(30)

    task = asyncio.create_task(call())
    if busy:
        await asyncio.sleep(0)
    else:
        await until(lambda: axis.sent)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert axis.sent == [] or axis.stopped == 1
