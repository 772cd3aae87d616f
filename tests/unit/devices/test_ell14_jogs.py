"""An ELL14 that jogs without an end stops, whatever answers that, whatever comes in between."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from connected import connected
from parts import until
from rotators import moving, sent

from rdaq_ophyd.devices.ell14 import Ell14
from rdaq_ophyd.errors import InstrumentError, LinkClosed, MoveInterrupted, MoveTimeout, ReplyTimeout
from rdaq_ophyd.link import LinkState
from rdaq_ophyd.sim import Faults, Port, SimEll14, serve_pty


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with serve_pty(SimEll14("03"), lift_baud=True, link=tmp_path / "ell14") as served:
        yield served


@pytest.fixture
async def mount(port: Port) -> AsyncIterator[Ell14]:
    async with connected(Ell14(port.url, "0", "mount"), alone=False) as mount:
        yield mount


@pytest.fixture
async def short(port: Port) -> AsyncIterator[Ell14]:
    """Moves of 30 degrees at most."""
    async with connected(Ell14(port.url, "3", "short", segment=30.0), alone=False) as short:
        yield short


@pytest.mark.parametrize("reply", ["GS", "PO", ""])
async def test_a_jog_without_an_end_stops_whatever_answers_the_stop(reply: str):
    with serve_pty(SimEll14("03", stop_reply=reply), lift_baud=True) as port:
        mount = Ell14(port.url, "0", "mount")
        await mount.connect()
        await mount.jog_step.set(0.0)
        for command in (mount.jog_forward, mount.jog_backward):
            await command.trigger()
            assert moving(port)
            assert await mount.busy.get_value() is True
            await mount.stop()
            assert not moving(port)
        status = mount.set(300.0)
        await until(lambda: moving(port))
        await mount.stop()
        assert not moving(port)
        with pytest.raises(RuntimeError, match="was stopped"):
            await status
        mount.close()


async def test_a_jog_takes_its_part_of_the_supply_until_it_is_stopped(
    mount: Ell14, short: Ell14, port: Port, monkeypatch
):
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_motion.TURN_WAIT", 0.2)
    supply = mount._supply()
    supply.movers = 1
    await mount.jog_step.set(0.0)
    await mount.jog_forward.trigger()
    with pytest.raises(MoveTimeout, match=r"short .*: waited 0\.2 s for mount .* to end; nothing was sent"):
        await short.set(10.0)
    await mount.stop()
    assert supply.turning == []
    await short.set(10.0)


async def test_a_jog_that_lost_its_link_is_stopped_when_that_is_back(mount: Ell14, port: Port, caplog):
    await mount.jog_step.set(0.0)
    await mount.jog_forward.trigger()
    port.disconnect()
    await until(lambda: mount.channel.link.state is LinkState.LOST)
    with pytest.raises(LinkClosed):
        mount.halt()
    assert moving(port)
    port.reconnect()
    await until(lambda: not moving(port))
    assert "mount: may have been turning" in caplog.text
    assert len(sent(port, b"fw")) == 1


async def test_no_stop_is_overtaken_by_a_jog_without_an_end():
    async with AsyncExitStack() as stack:
        port = stack.enter_context(serve_pty(SimEll14("03")))
        mount = await stack.enter_async_context(connected(Ell14(port.url, "0", "mount"), alone=False))
        other = await stack.enter_async_context(connected(Ell14(port.url, "3", "other"), alone=False))
        await mount.jog_step.set(0.0)
        for milliseconds in (0, 5, 20, 40, 60, *range(80, 180, 10)):
            queued = [asyncio.ensure_future(other.readback.get_value(cached=False)) for _ in range(3)]
            status = mount.jog_forward.trigger()
            timer = threading.Timer(milliseconds / 1000, mount.halt)
            timer.start()
            await asyncio.wait([status.task])
            timer.join()
            error = status.task.exception()
            assert error is None or isinstance(error, MoveInterrupted)
            await until(lambda: not moving(port))
            await mount.stop()
            assert not moving(port), f"halt after {milliseconds} ms"
            await asyncio.gather(*queued)
        assert sent(port, b"fw")


async def test_a_jog_that_is_refused_or_not_answered(mount: Ell14, port: Port):
    await mount.jog_step.set(0.0)
    port.instrument.movers = 0
    with pytest.raises(InstrumentError, match="over-current"):
        await mount.jog_forward.trigger()
    assert not mount.movable_logic.adrift
    port.instrument.movers = 1
    start = port.instrument._start

    def lose(place, name, data, now):
        port._line.set_faults(Faults(mute=True), now)
        return start(place, name, data, now)

    port.instrument._start = lose
    with pytest.raises(ReplyTimeout):
        await mount.jog_forward.trigger()
    await until(lambda: not moving(port))
    port.faults = Faults()
    assert len(sent(port, b"fw")) == 2


async def test_halt_waits_for_nobody(mount: Ell14, port: Port):
    """Not even for the lock of the queue, which whoever a signal handler interrupted may hold."""
    await mount.jog_step.set(0.0)
    await mount.jog_forward.trigger()
    with mount.channel.link._exchanger.queue._lock:
        mount.halt()
    await until(lambda: not moving(port))
    await mount.jog_forward.trigger()
    await asyncio.to_thread(mount.halt)
    await until(lambda: not moving(port))
