"""What a stop does to an ELL14: nothing to a move that began, everything to the next one and to an endless jog."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from connected import connected
from parts import until
from rotators import moving, sent

from rdaq_ophyd import stop
from rdaq_ophyd.devices.ell14 import Ell14, Ell14Bus
from rdaq_ophyd.errors import MoveInterrupted, ReplyTimeout, StopLatched, StopUnconfirmed
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


def place(port: Port, address: str = "0") -> float:
    return port.call(lambda now: port.instrument.angle(address, now))


async def test_a_bounded_move_runs_to_its_end_and_stop_waits_for_that(mount: Ell14, port: Port):
    status = mount.set(300.0)
    await until(lambda: moving(port))
    await mount.stop()
    assert not moving(port)
    assert place(port) == pytest.approx(300.0, abs=0.01)
    with pytest.raises(RuntimeError, match="mount was stopped"):
        await status
    assert len(sent(port, b"ma")) == 1
    await mount.stop()
    await mount.set(290.0)


async def test_a_series_of_short_moves_ends_between_two(short: Ell14, port: Port):
    status = short.set(300.0)
    await until(lambda: len(sent(port, b"ma")) == 2)
    begun = time.monotonic()
    await short.stop()
    assert time.monotonic() - begun < short.stop_capability.seconds + 2.0  # the margin is for a busy machine
    with pytest.raises(RuntimeError, match="short was stopped"):
        await status
    assert place(port, "3") == pytest.approx(60.0, abs=0.01)
    assert len(sent(port, b"ma")) == 2


async def test_a_series_ends_at_its_target_and_counts_as_one_move(short: Ell14, port: Port):
    await short.set(100.0)
    assert place(port, "3") == pytest.approx(100.0, abs=0.01)
    assert len(sent(port, b"ma")) == 4
    assert (await short.locate())["setpoint"] == 100.0
    await short.set(99.0)
    assert len(sent(port, b"ma")) == 5


async def test_a_stop_that_counts_as_success(short: Ell14, port: Port):
    status = short.set(300.0)
    await until(lambda: sent(port, b"ma"))
    await short.stop(success=True)
    await status
    assert place(port, "3") < 299


@pytest.mark.parametrize("segments", [False, True])
async def test_halt_from_another_thread(mount: Ell14, short: Ell14, port: Port, segments: bool):
    device = short if segments else mount
    status = device.set(200.0)
    await until(lambda: moving(port, device.address))
    thread = threading.Thread(target=device.halt)
    thread.start()
    with pytest.raises(MoveInterrupted, match="told to stop on its way to 200"):
        await status
    thread.join()
    assert not moving(port, device.address)
    assert len(sent(port, b"ma")) == 1
    assert place(port, device.address) == pytest.approx(200 / 7 if segments else 200, abs=0.01)


async def test_a_stop_before_the_move_was_sent(mount: Ell14, port: Port):
    for halt in (mount.halt, lambda: mount.halt_motion.trigger()):
        status = mount.set(20.0)
        waited = halt()
        with pytest.raises(MoveInterrupted, match="nothing more was sent"):
            await status
        if waited is not None:
            await waited
    for command in (mount.home, mount.jog_forward):
        status = command.trigger()
        mount.halt()
        with pytest.raises(MoveInterrupted, match="nothing more was sent"):
            await status
    status = mount.set(20.0)
    await mount.stop(success=True)
    await status
    assert sent(port, b"ma", b"ho", b"fw") == []
    await mount.set(1.0)


async def test_a_cancelled_move_ends_by_itself_and_the_next_waits_for_it(mount: Ell14, port: Port):
    status = mount.set(300.0)
    await until(lambda: moving(port))
    status.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await status
    assert moving(port)
    await mount.set(280.0)
    assert [bytes(line[3:]) for line in sent(port, b"ma")] == [b"0001D2AB", b"0001B38E"]


async def test_a_home_search_that_was_told_to_stop(mount: Ell14, port: Port):
    await mount.set(200.0)
    searching = mount.home.trigger()
    await until(lambda: moving(port))
    await mount.stop()
    with pytest.raises(MoveInterrupted, match="told to stop while searching home, which is over now"):
        await searching
    assert place(port) == 0.0


async def test_cleaning_occupies_the_bus_and_is_stopped(mount: Ell14, port: Port):
    for command in (mount.clean, mount.optimise):
        status = command.trigger()
        await until(lambda: moving(port))
        mount.halt()
        with pytest.raises(MoveInterrupted, match="told to stop while"):
            await status
        assert not moving(port)
    mount.channel.link.submit, submit = (
        lambda command, **options: (mount.halt() if b"cm" in command else None) or submit(command, **options),
        mount.channel.link.submit,
    )
    with pytest.raises(MoveInterrupted):  # the stop came first, and then the command
        await mount.clean.trigger()
    await until(lambda: not moving(port))
    mount.channel.link.submit = submit
    status = mount.clean.trigger()
    await until(lambda: moving(port))
    status.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await status
    await until(lambda: not moving(port))


async def test_a_mute_bus_in_mid_move(mount: Ell14, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_motion.SILENCE", 0.2)
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_motion.DEAF_PAUSE", 0.1)
    status = mount.set(200.0)
    await until(lambda: moving(port))
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout, match="no reply to b'0gs"):
        await status
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_rotator.STOP_MARGIN", 0.1)
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_rotator.TWO_TURNS", 10.0)
    with pytest.raises(StopUnconfirmed, match="mount: stop was sent, but not confirmed: .*0gs"):
        await mount.stop()
    port.faults = Faults()
    assert len(sent(port, b"ma")) == 1
    await mount.stop()
    assert place(port) == pytest.approx(200, abs=0.01)


async def test_a_lost_answer_to_the_command_is_no_reason_to_send_it_again(mount: Ell14, port: Port):
    start = port.instrument._start

    def lose(place, name, data, now):
        port._line.set_faults(Faults(mute=True), now)
        return start(place, name, data, now)

    port.instrument._start = lose
    status = mount.set(200.0)
    await until(lambda: moving(port))
    await until(lambda: not moving(port))
    port.faults = Faults()
    await status
    assert len(sent(port, b"ma")) == 1
    assert place(port) == pytest.approx(200, abs=0.01)


async def test_stop_all_ends_a_jog_waits_for_a_move_and_refuses_the_next(mount: Ell14, short: Ell14, port: Port):
    await mount.jog_step.set(0.0)
    await mount.jog_forward.trigger()
    status = short.set(300.0)
    await until(lambda: moving(port, "3"))
    report = await asyncio.to_thread(stop.stop_all, "a test")
    assert {(v.device, v.outcome.value) for v in report.verdicts} == {("mount", "confirmed"), ("short", "confirmed")}
    assert not moving(port)
    assert not moving(port, "3")
    with pytest.raises((MoveInterrupted, StopLatched)):
        await status
    assert place(port, "3") < 299
    moves = len(sent(port, b"ma", b"ho", b"fw", b"sv"))
    for refused in (
        lambda: mount.set(1.0),
        mount.home.trigger,
        mount.jog_forward.trigger,
        lambda: mount.velocity.set(50),
    ):
        with pytest.raises(StopLatched):
            await refused()
    assert len(sent(port, b"ma", b"ho", b"fw", b"sv")) == moves
    assert abs((await mount.locate())["readback"]) > 0
    await asyncio.to_thread(stop.reset, "the test goes on")
    mount._supply().movers = 1
    await short.set(10.0)


async def test_stop_all_is_not_taken_in_by_the_answer_to_st():
    """Were every ``st`` answered by "ok", that would not make a rotator that turns a safe one."""
    # Its answer is still on the line when the first question is asked.
    with serve_pty(SimEll14("0", latency=0.01)) as port:
        port.instrument._stop = lambda rotator, now: None if rotator.stop(now) else "GS00"
        mount = Ell14(port.url, "0", "mount")
        await mount.connect()
        await mount.velocity.set(50)
        status = mount.set(300.0)
        await until(lambda: moving(port))
        (verdict,) = (await asyncio.to_thread(stop.stop_all, "a test")).verdicts
        assert not moving(port)
        assert verdict.outcome.value == "confirmed"
        with pytest.raises(MoveInterrupted):
            await status
        mount.close()


async def test_the_bus_stops_all_of_its_rotators(port: Port):
    bus = Ell14Bus(port.url, {"0": "a", "3": "b"}, "bus", segment=20.0)
    await bus.connect()
    statuses = [bus.a.set(300.0), bus.b.set(300.0)]
    await until(lambda: moving(port) and moving(port, "3"))
    await bus.stop()
    for status in statuses:
        with pytest.raises(RuntimeError, match="was stopped"):
            await status
    assert max(place(port), place(port, "3")) < 100
    bus.halt()
    bus.note_stop()
    port.faults = Faults(mute=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rdaq_ophyd.devices._ell14_rotator.STOP_MARGIN", 0.1)
        with pytest.raises(StopUnconfirmed, match="bus-a") as caught:
            await bus.stop()
    assert "bus-b" in caught.value.__notes__[0]
    port.faults = Faults()
    await asyncio.to_thread(bus.close)


async def test_the_answer_to_st_does_not_look_like_the_end_of_a_move():
    """A move that was told to stop ends when the rotator does, and not before; then the next can be sent."""
    with serve_pty(SimEll14("0", latency=0.01)) as port:
        port.instrument._stop = lambda rotator, now: None if rotator.stop(now) else "GS00"
        mount = Ell14(port.url, "0", "mount")
        await mount.connect()
        for target in (200.0, 0.0):
            status = mount.set(200.0 - target + 100)
            await until(lambda: moving(port))
            mount.halt()
            with pytest.raises(MoveInterrupted):
                await status
            assert not moving(port)
            await mount.set(target)
            assert place(port) == pytest.approx(target, abs=0.01)
        mount.close()


@pytest.mark.parametrize("motion", ["home", "setpoint", "outside"])
async def test_the_bound_is_that_of_what_was_begun(port: Port, motion: str):
    """Each lasts longer than a move of a ``set`` would, and than the margin of a stop."""
    async with connected(Ell14(port.url, "0", "far"), alone=False) as far:
        await far.set(350.0)
    bounds = {"limits": (0.0, 10.0)} if motion == "outside" else {"segment": 5.0}
    async with connected(Ell14(port.url, "0", "mount", **bounds)) as mount:
        await mount.velocity.set(25)
        begin = {
            "home": mount.home.trigger,
            "setpoint": lambda: mount.setpoint.set(0.0),
            "outside": lambda: mount.set(5.0),
        }
        status = begin[motion]()
        await until(lambda: moving(port))
        assert mount.stop_capability.seconds >= 345 / 107.5
        assert mount.safe_states()[0].seconds > mount.stop_capability.seconds
        await mount.stop()
        assert not moving(port)
        await asyncio.gather(status, return_exceptions=True)


async def test_a_home_search_is_waited_for_by_a_stop_all(short: Ell14, port: Port):
    await short.velocity.set(25)
    assert "a home search runs to its end too, for 3.5 s at most" in short.stop_capability.note
    port.call(lambda now: port.instrument.rotators["3"].to_place(-300.0, now, lambda t: "", "move"))
    await until(lambda: not moving(port, "3"))
    status = short.home.trigger()
    await until(lambda: sent(port, b"ho"))
    (verdict,) = (await asyncio.to_thread(stop.stop_all, "a test")).verdicts
    assert (verdict.outcome.value, verdict.detail) == ("confirmed", "")
    assert not moving(port, "3")
    await asyncio.gather(status, return_exceptions=True)


async def test_a_jog_keeps_to_the_segment(short: Ell14, port: Port):
    await short.jog_step.set(100.0)
    await short.jog_forward.trigger()
    assert place(port, "3") == pytest.approx(100.0, abs=0.01)
    assert len(sent(port, b"ma")) == 4
    assert sent(port, b"fw") == []
    status = short.jog_backward.trigger()
    await until(lambda: len(sent(port, b"ma")) == 5)
    await short.stop()
    with pytest.raises(MoveInterrupted):
        await status
    assert place(port, "3") == pytest.approx(75.0, abs=0.01)
