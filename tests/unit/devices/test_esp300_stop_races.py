"""Stops of the ESP300 that come at any time: none is overtaken by the motion that it is meant for."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from ophyd_async.core import init_devices
from parts import until

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.errors import (
    InstrumentError,
    MoveInterrupted,
)
from rdaq_ophyd.sim import Port, SimEsp300, serve_pty


@pytest.fixture(scope="module")
def slow_port() -> Iterator[Port]:
    """At the true baud rate and the true velocity."""
    with serve_pty(SimEsp300()) as served:
        yield served


@pytest.fixture
async def slow(slow_port: Port) -> AsyncIterator[Esp300]:
    async with init_devices():
        esp = Esp300(slow_port.url, {1: "x", 2: "y"})
    await esp.x.enabled.set(True)
    await esp.x.velocity.set(10.0)
    await esp.x.home.trigger()
    yield esp
    esp.close()


def last_word(port: Port, since: int, motion: bytes) -> bytes:
    """Of the motion commands and stops, the one that the controller got last."""
    sent = [line for line in port.log.bytes()[since:].split(b"\r") if line == b"1ST" or line.startswith(motion)]
    assert sent, "no stop was sent"
    return sent[-1]


async def stop_arrived(port: Port, since: int) -> None:
    """A move that was not begun yet hears of a stop before the controller does."""
    await until(lambda: b"1ST\r" in port.log.bytes()[since:])


def standing_at(port: Port) -> float:
    """Where axis 1 stands; fails when it moves."""
    axis = port.instrument.axes[1]
    assert port.call(lambda now: axis.done_at() <= now)
    return port.call(axis.position)


@pytest.mark.parametrize("reads", [0, 20])
async def test_no_stop_is_overtaken_by_its_own_move(slow: Esp300, slow_port: Port, reads: int):
    for milliseconds in (0, 1, 5, *range(10, 160, 10)):
        target = 20.0 if milliseconds % 20 else -20.0
        since = len(slow_port.log.bytes())
        queued = [asyncio.ensure_future(slow.y.readback.get_value(cached=False)) for _ in range(reads)]
        await asyncio.sleep(0)
        status = slow.x.set(target)
        timer = threading.Timer(milliseconds / 1000, slow.x.halt)
        timer.start()
        with pytest.raises(MoveInterrupted, match="esp-x: told to stop"):
            await status
        timer.join()
        await stop_arrived(slow_port, since)
        assert last_word(slow_port, since, b"1PA") == b"1ST", f"halt after {milliseconds} ms"
        assert abs(standing_at(slow_port)) < 15
        await asyncio.gather(*queued)


async def test_a_stop_before_the_move_was_scheduled(slow: Esp300, slow_port: Port):
    since = len(slow_port.log.bytes())
    for halt in (slow.x.halt, slow.halt, lambda: slow.x.halt_motion.trigger(), lambda: slow.halt_all.trigger()):
        status = slow.x.set(20.0)
        waited = halt()
        with pytest.raises(MoveInterrupted, match="told to stop before it was on its way to 20; nothing was sent"):
            await status
        if waited is not None:
            await waited
    status = slow.x.set(20.0)
    await slow.x.stop()
    with pytest.raises(MoveInterrupted, match="told to stop before"):
        await status
    for stop in (slow.x.stop, slow.stop):
        status = slow.x.set(20.0)
        await stop(success=True)
        await status
    assert b"1PA" not in slow_port.log.bytes()[since:]
    await slow.x.set(0.5)
    assert standing_at(slow_port) == pytest.approx(0.5, abs=1e-3)


async def test_stops_while_the_move_is_asked_for(slow: Esp300, slow_port: Port):
    for milliseconds in range(0, 120, 10):
        since = len(slow_port.log.bytes())
        status = slow.x.set(20.0 if milliseconds % 20 else -20.0)
        await asyncio.wait([status.task], timeout=milliseconds / 1000)
        await slow.x.stop()
        with pytest.raises((MoveInterrupted, RuntimeError), match="stop"):
            await status
        assert last_word(slow_port, since, b"1PA") == b"1ST"
        assert abs(standing_at(slow_port)) < 15


@pytest.mark.parametrize("how", ["halt", "stop", "cancel"])
async def test_a_move_that_is_written_after_the_stop_is_stopped_again(
    slow: Esp300, slow_port: Port, monkeypatch: pytest.MonkeyPatch, how: str
):
    link, since = slow.x.channel.link, len(slow_port.log.bytes())
    loop, submit, stopping = asyncio.get_running_loop(), link.submit, []
    status = slow.x.set(20.0)
    act = {
        "halt": slow.x.halt,
        "stop": lambda: stopping.append(loop.create_task(slow.x.stop())),
        "cancel": status.task.cancel,
    }

    def disturbed(command: bytes, **options):
        if b"1PA" in command:
            # The exchange begins with draining the input, for 50 ms: it can no longer be taken back.
            link.resync()
            loop.call_later(0.02, act[how])
        return submit(command, **options)

    monkeypatch.setattr(link, "submit", disturbed)
    with pytest.raises((MoveInterrupted, RuntimeError, asyncio.CancelledError)):
        await status
    await asyncio.gather(*stopping)
    await until(lambda: b"1PA" in slow_port.log.bytes()[since:].partition(b"1ST\r")[2])
    await until(lambda: last_word(slow_port, since, b"1PA") == b"1ST")
    await slow.x.stop()
    assert standing_at(slow_port) < 15


async def test_no_stop_is_overtaken_by_its_own_home_search(slow: Esp300, slow_port: Port):
    await slow.x.set(10.0)
    for milliseconds in (0, 1, 5, 10, 20, 30, 50):
        since = len(slow_port.log.bytes())
        status = slow.x.home.trigger()
        timer = threading.Timer(milliseconds / 1000, slow.x.halt)
        timer.start()
        with pytest.raises(MoveInterrupted, match="stop"):
            await status
        timer.join()
        await stop_arrived(slow_port, since)
        assert last_word(slow_port, since, b"1OR") == b"1ST"
        standing_at(slow_port)
        await slow.x.velocity.set(10.0)  # which the controller answers with no error of the search


async def test_what_a_stopped_search_reports_late_does_not_fail_the_next_move(
    slow: Esp300, slow_port: Port, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    slow.x.halt()
    slow_port.call(lambda now: slow_port.instrument.axes[1].report(20, now))
    await slow.x.set(1.0)
    assert "error 120 (homing aborted) belongs to a motion that was stopped" in caplog.text
    slow_port.call(lambda now: slow_port.instrument.cause(1, "following_error", now))
    with pytest.raises(InstrumentError, match="following error"):
        await slow.x.set(2.0)


async def test_where_it_is_can_be_asked_while_a_stopped_move_ends(slow: Esp300):
    subscribed = asyncio.Event()
    move = slow.x.movable_logic.move

    async def stopped(new_position: float, timeout) -> None:
        subscribed.set()
        slow.x.halt()
        await move(new_position, timeout)

    slow.x.movable_logic.move = stopped
    status = slow.x.set(20.0)
    await subscribed.wait()
    place = await slow.x.locate()
    assert abs(place["readback"]) < 15
    with pytest.raises(MoveInterrupted):
        await status


async def test_an_emergency_stop_is_not_overtaken_either(slow: Esp300, slow_port: Port):
    since = len(slow_port.log.bytes())
    status = slow.x.set(20.0)
    await slow.emergency_stop.trigger()
    with pytest.raises(MoveInterrupted):
        await status
    assert b"AB\r" in slow_port.log.bytes()[since:]
    assert b"1PA" not in slow_port.log.bytes()[since:]
