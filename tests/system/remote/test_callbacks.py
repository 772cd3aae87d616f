"""Bluesky's own callbacks on a rig elsewhere: tables and peaks; a slow one holds nobody up, and hears of it."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from contextlib import redirect_stdout

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import event_model
import numpy as np
import pytest
from bluesky.callbacks import LiveTable
from ophyd_async.core import Array1D, soft_signal_rw

from rdaq_ophyd.client import aconnect, connect

EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}


def table_of(written: list[str]) -> LiveTable:
    return LiveTable(["x", "power_meter-power"], out=written.append)


def test_a_live_table_has_a_row_for_each_point(client):
    written = []
    end = client.subscribe(table_of(written))
    client.run("knife_edge_scan", **EDGE)  # returns when the table is written
    text = "\n".join(written)
    assert text.count("\n|") >= 11
    assert "power_meter-power" in text
    assert "generator" in text
    end()


async def test_a_live_table_in_async_code(server, home):
    async with await aconnect(server.address) as client:
        written, names = [], []

        async def take(name, document):
            names.append(name)

        ends = [await client.subscribe(table_of(written)), await client.subscribe(take)]
        await client.run("knife_edge_scan", **EDGE)
        assert "\n".join(written).count("\n|") >= 11
        assert (names[0], names[-1]) == ("start", "stop")
        for end in ends:
            await end()


def test_best_effort_finds_the_peaks_without_a_screen(client):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from bluesky.callbacks.best_effort import BestEffortCallback

    best = BestEffortCallback()
    printed = io.StringIO()
    with redirect_stdout(printed):
        end = client.subscribe(best)
        run = client.run("knife_edge_scan", **EDGE)
        assert end.wait(run.uids[0], 50)  # it draws
        end()
    assert end.error is None
    assert "power_meter-power" in printed.getvalue()
    assert "power_meter-power" in best.peaks["com"]
    plt.close("all")


def test_a_slow_callback_holds_nobody_up_and_is_told(client, server):
    release, behind, quick = threading.Event(), [], []
    with connect(server.address) as other:
        slow = other.subscribe(lambda name, document: release.wait(30), on_behind=behind.append)
        end = client.subscribe(lambda name, document: quick.append(name))
        for _ in range(3):
            run = client.run("count", detectors="power_meter", num=40)
        assert quick.count("stop") == 3
        assert slow.behind > 100
        assert behind[0] >= 64
        assert behind == sorted(behind)
        release.set()
        assert slow.wait(run.uids[0], 30)
        assert slow.behind == 0
        slow()
        end()


async def test_a_slow_callback_in_async_code(server, home):
    async with await aconnect(server.address) as client:
        release, behind, quick = threading.Event(), [], []
        slow = await client.subscribe(lambda name, document: release.wait(30), on_behind=behind.append)
        end = await client.subscribe(lambda name, document: quick.append(name))
        run = await client.begin("count", detectors="power_meter", num=100)
        async for _ in run:  # the loop is not held up
            pass
        assert await end.wait(run.uids[0])
        assert quick[-1] == "stop"
        assert behind[0] >= 64
        assert slow.behind > 64
        release.set()
        assert await slow.wait(run.uids[0], 30)
        await slow()
        await end()


def test_a_callback_that_fails_gets_the_next_document(client, caplog):
    names = []

    def fail(name, document):
        names.append(name)
        raise ValueError(f"no {name}")

    end = client.subscribe(fail)
    client.run("count", detectors="power_meter")
    end()
    assert (names[0], names[-1]) == ("start", "stop")
    assert "failed on a start document" in caplog.text


def test_documents_are_those_of_the_rig_with_arrays_and_nan(client, session, until):
    """Every document, after its way through a line of text, is what the engine's own subscribers got."""
    signals = {"wave": soft_signal_rw(Array1D[np.float64], name="wave"), "odd": soft_signal_rw(float, name="odd")}
    there, here = [], []
    token = session.RE.subscribe(lambda name, document: there.append((name, document)))
    end = client.subscribe(lambda name, document: here.append((name, document)))

    @bpp.run_decorator(md={"plan_name": "odd"})
    def plan():
        for number in (1, 2):
            yield from bps.abs_set(signals["wave"], np.array([number, np.nan, np.inf]), wait=True)
            yield from bps.abs_set(signals["odd"], float("nan"), wait=True)
            yield from bps.trigger_and_read(list(signals.values()))

    from bluesky.run_engine import call_in_bluesky_event_loop

    for signal in signals.values():
        call_in_bluesky_event_loop(signal.connect())
    result = session.RE(plan())
    session.RE.unsubscribe(token)
    assert end.wait(result.run_start_uids[0])
    end()
    assert [name for name, _ in here] == [name for name, _ in there]
    for (name, mine), (_, theirs) in zip(here, there, strict=True):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(json.loads(plain(mine)))
        assert plain(mine) == plain(theirs), name
    waves = [d["data"]["wave"] for n, d in here if n == "event" and "wave" in d["data"]]
    assert all(isinstance(wave, np.ndarray) and wave.dtype == np.float64 for wave in waves)
    np.testing.assert_array_equal(waves, [[1, np.nan, np.inf], [2, np.nan, np.inf]])


def plain(document) -> str:
    def other(value):
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)

    return json.dumps(document, default=other, sort_keys=True)


@pytest.mark.parametrize("how", ["thread", "task"])
async def test_a_subscription_that_ends_leaves_nothing(server, home, how):
    if how == "thread":
        client = await asyncio.to_thread(connect, server.address)
        end = await asyncio.to_thread(client.subscribe, lambda name, document: None)
        await asyncio.to_thread(end)
        assert not any(thread.is_alive() for thread in end._threads)
        client.close()
    else:
        async with await aconnect(server.address) as client:
            end = await client.subscribe(lambda name, document: None)
            await end()
            assert all(task.done() for task in end._tasks)
