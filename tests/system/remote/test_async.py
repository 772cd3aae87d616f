"""The client of async code does what the other one does; whoever is cancelled ends what was begun."""

from __future__ import annotations

import asyncio
import logging

import pytest
from awaited import until

from rdaq_ophyd.client import RunFailed, aconnect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.errors import EngineBusy, LimitError, ServerGone, StopLatched, UnitsError, UnknownName

logger = logging.getLogger("rdaq_ophyd.test")
EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}


async def follow_to(run, what):
    async for event in run:
        if event.what == what:
            return event
    raise AssertionError(f"{what} never came: {run}")


async def test_devices_readings_and_signals(server, home):
    async with await aconnect(server.address) as client:
        x = client.devices.x
        assert [device.name for device in client.devices] == ["stage", "x", "y", "power_meter", "cam"]
        assert (x.units, x.limits, x.velocity.units) == ("mm", (-25.0, 25.0), "mm/s")
        assert {"velocity", "home", "readback"} <= set(dir(x))
        assert (await client.read("x", "x.velocity"))["x-velocity"]["value"] == 5.0
        assert (await x.read())["x"]["value"] == pytest.approx(0, abs=1e-3)
        assert await x.velocity.set(4.0) == await x.velocity.get() == 4.0
        await x.velocity.set(5.0)
        place = await x.locate()
        assert (place.units, place.limits) == ("mm", (-25.0, 25.0))
        assert set(await client.where()) == {"x", "y"}
        assert (await client.state).engine == "idle"
        assert "knife_edge_scan" in await client.plans()
        with pytest.raises(LimitError, match="x-velocity"):
            await x.velocity.set(float("nan"))
        with pytest.raises(UnknownName, match="did you mean x"):
            client.devices["xx"]


async def test_a_move_tells_how_far_it_is(server, home):
    async with await aconnect(server.address) as client:
        seen = []
        assert await client.devices.x.move(1.0, watch=seen.append) == pytest.approx(1.0, abs=1e-3)
        assert seen[-1].done
        assert await client.devices.x.move(-0.5, relative=True, units="mm") == pytest.approx(0.5, abs=1e-3)
        with pytest.raises(UnitsError, match="x moves in mm, not 'um'"):
            await client.devices.x.move(1.0, units="um")
        with pytest.raises(LimitError, match="26"):
            await client.devices.x.move(26.0)


@pytest.mark.parametrize("how", ["cancelled", "left"])
async def test_whoever_goes_stops_the_move(server, home, bench, session, how):
    async with await aconnect(server.address) as client:
        x = client.devices.x
        stops = len(bench.arrivals("esp300", b"1ST"))
        if how == "cancelled":
            moving = asyncio.Event()
            task = asyncio.create_task(x.move(20.0, watch=lambda progress: progress.current > 0.1 and moving.set()))
            async with asyncio.timeout(20):
                await moving.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async for progress in x.moving(20.0):
                if progress.current > 0.1:
                    break
        await until(lambda: len(bench.arrivals("esp300", b"1ST")) > stops)
        await until(lambda: not server.service.moving)
        assert (await client.read("x"))["x"]["value"] < 19


async def test_a_plan_from_begin_to_end_with_its_documents(server, home):
    async with await aconnect(server.address) as client:
        documents = []
        end = await client.subscribe(lambda name, document: documents.append((name, document)))
        # What the meter says follows slowly: with uneven steps and no rest there is no edge to be fitted.
        run = await client.begin("knife_edge_scan", md={"sample": "razor"}, settle=0.25, **EDGE)
        assert [event.what async for event in run] == [What.RUN, What.ENDED]
        measured = [document["data"] for name, document in documents if name == "event"]
        assert (run.exit_status, "center" in run.result) == ("success", True), measured
        assert await end.wait(run.uids[0])
        await end()
        assert (documents[0][0], documents[-1][0], documents[0][1]["sample"]) == ("start", "stop", "razor")
        with pytest.raises(RunFailed, match="target 240 mm is outside"):
            await client.run("knife_edge_scan", **{**EDGE, "stop": 240})


async def test_a_plan_is_paused_resumed_and_ended(server, home):
    async with await aconnect(server.address) as client:
        run = await client.begin("knife_edge_scan", settle=0.05, **EDGE)
        await follow_to(run, What.RUN)
        assert (await client.pause()).engine == "paused"
        with pytest.raises(EngineBusy, match="paused"):
            await client.devices.x.move(1.0)
        assert (await client.resume()).engine == "running"
        assert (await client.finish()).engine == "idle"
        await follow_to(run, What.ENDED)
        assert run.exit_status == "success"
        for how in (client.abort, client.halt):
            run = await client.begin("knife_edge_scan", settle=0.05, **EDGE)
            await follow_to(run, What.RUN)
            assert (await how()).engine == "idle"
            await follow_to(run, What.ENDED)
            assert run.exit_status == "abort"


async def test_stop_all_holds_until_the_reset(server, home):
    async with await aconnect(server.address) as client:
        watched = client.watch()
        assert not (await anext(watched)).stopped
        report = await client.stop_all("somebody waved")
        assert ("x", "confirmed") in {(v.device, v.outcome) for v in report.verdicts}
        with pytest.raises(StopLatched, match="somebody waved"):
            await client.devices.x.move(1.0)
        async for state in watched:
            if state.stopped:
                break
        await client.reset("nobody was hurt")
        async for state in watched:
            if not state.stopped:
                break
        await watched.close()


async def test_the_log_is_heard_by_its_level(server, home):
    async with await aconnect(server.address) as client:
        log = client.log(level="ERROR")
        logger.warning("the chiller is warm")
        logger.error("the chiller is hot")
        line = await anext(log)
        while line.logger != logger.name:  # other tests log too
            line = await anext(log)
        assert (line.level, line.text) == ("ERROR", "the chiller is hot")
        await log.close()
        with pytest.raises(LimitError, match="no level 'LOUD'"):
            client.log(level="LOUD")


async def test_a_cancelled_stream_is_closed_and_others_go_on(server, home):
    async with await aconnect(server.address) as client:
        documents = server.service._documents
        streams = [await client.documents() for _ in range(2)]
        tasks = [asyncio.create_task(anext(stream)) for stream in streams]
        await asyncio.sleep(0)  # they wait now
        assert len(documents._listeners) == 2
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await until(lambda: len(documents._listeners) == 1)
        await client.run("knife_edge_scan", **EDGE)
        assert (await tasks[1])[0] == "start"
        await streams[1].close()
        await until(lambda: not documents._listeners)
        assert [item async for item in streams[1]] == []


async def test_a_set_that_is_cancelled_is_given_up_there_too(server, home):
    async with await aconnect(server.address) as client:
        task = asyncio.create_task(client.devices.x.home.trigger())
        await until(lambda: "x.home" in server.service.moving)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.service.moving)


async def test_nobody_is_there(unused_tcp_port):
    with pytest.raises(ServerGone, match="is `rdaq serve` running there"):
        await aconnect(f"127.0.0.1:{unused_tcp_port}", timeout=3)
