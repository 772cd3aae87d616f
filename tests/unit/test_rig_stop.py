"""Devices that others wrote are part of a stop-all while their rig is connected."""

import asyncio
import threading
import time

import pytest
from bluesky.protocols import Location
from ophyd_async.core import Device, NotConnectedError
from ophyd_async.sim import SimMotor

from rdaq_ophyd import stop
from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.errors import StopUnconfirmed
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.rig._loop_target import LoopTarget
from rdaq_ophyd.sim import SimEsp300, SimNewport1830C, serve_pty
from rdaq_ophyd.stop import Outcome


class Box(Device):
    """Cannot be stopped itself; what is in it can."""

    def __init__(self, name: str = "") -> None:
        self.motor = SimMotor(instant=False)
        super().__init__(name)


class Stage(Device):
    """Stops as it is told to, and is where it is told to be."""

    def __init__(self, stop=lambda: None, places=(1.0,)) -> None:
        self.calls = 0
        self._stop, self._places = stop, iter(places)
        self._last = 0.0
        super().__init__("stage")

    async def stop(self, success=True):
        self.calls += 1
        result = self._stop()
        if asyncio.iscoroutine(result):
            await result

    async def locate(self):
        self._last = next(self._places, self._last)
        return Location(setpoint=0.0, readback=self._last)

    def set(self, value):
        raise AssertionError("nobody moves it")


def rig_of(**made: Device) -> Rig:
    rig = Rig("bench")
    for name, device in made.items():
        rig.device(_named(device, name))
    return rig


def _named(device: Device, name: str):
    def make() -> Device:
        return device

    make.__name__ = name
    return make


async def in_thread(function, *args):
    return await asyncio.to_thread(function, *args)


async def test_a_motor_of_others_is_stopped_and_read_back_also_inside_another_device():
    box, y = Box(), SimMotor(instant=False)
    async with rig_of(box=box, y=y).running():
        moves = [box.motor.set(50.0), y.set(-50.0)]
        on_its_way = asyncio.Event()
        y.user_readback.subscribe_reading(lambda r: r["y"]["value"] and on_its_way.set())
        await on_its_way.wait()
        report = await in_thread(stop.stop_all, "test")
        assert [v.device for v in report.verdicts] == ["box-motor", "y"]
        for verdict in report.verdicts:
            assert (verdict.outcome, verdict.latched) == (Outcome.CONFIRMED, False)
            assert "not latched" in str(verdict)
        for move in moves:
            with pytest.raises(RuntimeError, match="was stopped"):
                await move
        assert abs(await y.user_readback.get_value()) < 49
    stop.reset("over")
    assert (await in_thread(stop.stop_all, "nothing is connected")).verdicts == ()


async def test_a_motor_of_others_in_a_device_of_ours_is_stopped_too():
    class Hybrid(Newport1830C):
        def __init__(self, link) -> None:
            self.wheel = SimMotor()
            super().__init__(link)

    with serve_pty(SimNewport1830C(), lift_baud=True) as port:
        async with rig_of(pm=Hybrid(port.url)).running():
            report = await in_thread(stop.stop_all, "test")
            assert [(v.device, v.outcome, v.latched) for v in report.verdicts] == [
                ("pm-wheel", Outcome.CONFIRMED, False)
            ]


async def test_a_halt_from_the_thread_of_the_loop_itself_waits_for_nothing():
    stage = Stage()
    async with rig_of(stage=stage).running():
        halted = stop.halt_all("a key was pressed")
        assert stage.calls == 0
        report = await in_thread(halted.confirm)
        assert stage.calls == 1
        assert report.verdicts[0].outcome is Outcome.CONFIRMED


async def test_what_has_a_link_or_was_only_rehearsed_is_no_target_here():
    with serve_pty(SimEsp300(), lift_baud=True) as port:
        rig = rig_of(esp=Esp300(port.url, {1: "x"}))
        async with rig.running():
            report = await in_thread(stop.stop_all, "test")
            assert [(v.device, v.latched) for v in report.verdicts] == [("esp-x", True)]
    async with rig_of(x=SimMotor()).running(mock=True):
        assert (await in_thread(stop.stop_all, "test")).verdicts == ()


async def test_a_device_that_came_late_takes_part():
    plugged = False

    class Late(Stage):
        async def connect(self, mock=False, timeout=1.0, force_reconnect=False):
            if not plugged:
                raise NotConnectedError("unplugged")

    late = Late()
    rig = rig_of(late=late)
    async with rig.running():
        assert (await in_thread(stop.stop_all, "test")).verdicts == ()
        plugged = True
        await rig.reconnect("late")
        assert (await in_thread(stop.stop_all, "test")).verdicts[0].outcome is Outcome.CONFIRMED
        assert late.calls == 1


async def test_a_rig_connects_while_everything_is_stopped():
    with serve_pty(SimEsp300(), lift_baud=True) as esp, serve_pty(SimNewport1830C(), lift_baud=True) as meter:
        await in_thread(stop.stop_all, "test")
        rig = rig_of(esp=Esp300(esp.url, {1: "x", 2: "y"}), pm=Newport1830C(meter.url))
        async with rig.running():
            assert rig.failures == {}
            assert await rig["esp.x.readback"].get_value() == 0.0
            await rig.reconnect("pm")
            assert rig.failures == {}


async def never():
    await asyncio.Event().wait()


def broken():
    raise ValueError("out of order")


@pytest.mark.parametrize(
    ("stage", "outcome", "detail"),
    [
        (lambda: Stage(), Outcome.CONFIRMED, "not latched: its own stop, no link of ours"),
        (lambda: Stage(places=(1.0, 2.0, 3.0, 3.0)), Outcome.CONFIRMED, "not latched"),
        (lambda: Stage(places=iter(range(1000))), Outcome.UNCONFIRMED, "still moving"),
        (lambda: Stage(stop=never), Outcome.UNCONFIRMED, "its stop did not return within 1 s"),
        (lambda: Stage(stop=broken), Outcome.UNCONFIRMED, "its stop failed: ValueError: out of order"),
        (lambda: Stage(places=_fails()), Outcome.UNCONFIRMED, "asked where it is: ValueError"),
    ],
)
async def test_what_is_known_after_a_stop(stage, outcome: Outcome, detail: str):
    target = LoopTarget(stage(), asyncio.get_running_loop(), 1.0)
    target.halt()
    (verdict,) = await in_thread(target.confirm)
    assert (verdict.outcome, verdict.latched) == (outcome, False)
    assert verdict.detail.startswith("not latched: ")
    assert detail in verdict.detail
    for task in list(target._tasks):
        task.cancel()


def _fails():
    yield broken()


async def test_a_device_that_cannot_say_where_it_is_is_not_confirmed():
    class Shy(Device):
        async def stop(self, success=True): ...

    target = LoopTarget(Shy("shy"), asyncio.get_running_loop())
    target.halt()
    (verdict,) = await in_thread(target.confirm)
    assert verdict.outcome is Outcome.UNCONFIRMED
    assert "no way to tell" in verdict.detail


async def test_before_a_reset_it_is_only_asked_where_it_is():
    stage = Stage(stop=broken)
    rig = rig_of(stage=stage)
    async with rig.running():
        report = await in_thread(stop.stop_all, "test")
        assert report.verdicts[0].outcome is Outcome.UNCONFIRMED
        # The stop failed, but it stands still now.
        await in_thread(stop.reset, "looked at it")
        assert stage.calls == 1
        stage._places = iter(range(100_000))
        for target in rig._targets.values():
            target._seconds = 0.3
        await in_thread(stop.stop_all, "again")
        with pytest.raises(StopUnconfirmed, match="stage: unconfirmed, not latched"):
            await in_thread(stop.reset, "looked again")


def test_a_loop_that_hangs_or_is_gone_bounds_the_verdict():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    target = LoopTarget(Stage(), loop, 0.3)
    held, go = threading.Event(), threading.Event()
    loop.call_soon_threadsafe(lambda: (held.set(), go.wait(10)))
    assert held.wait(5)
    before = time.monotonic()
    target.halt()
    (verdict,) = target.confirm()
    assert verdict.outcome is Outcome.UNCONFIRMED
    assert "did not return within 0.3 s" in verdict.detail
    assert time.monotonic() - before < 5
    go.set()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    target.halt()
    (verdict,) = target.confirm()
    assert (verdict.outcome, verdict.latched) == (Outcome.UNREACHABLE, False)
    assert "event loop is gone" in verdict.detail


class Halted(Stage):
    """Can be halted without the loop, as far as ``halt`` does it."""

    def __init__(self, halt=lambda: None, **stage) -> None:
        self.halts = threading.Event()
        self._halt = halt
        super().__init__(**stage)

    def halt(self):
        self.halts.set()
        self._halt()


class Crate(Device):
    """Cannot be halted itself; what is in it can."""

    def __init__(self) -> None:
        self.axis = Halted()
        super().__init__("crate")

    async def stop(self, success=True): ...


@pytest.fixture
def blocked_loop():
    """A loop that hangs until the test is over."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    held, go = threading.Event(), threading.Event()
    loop.call_soon_threadsafe(lambda: (held.set(), go.wait(30)))
    assert held.wait(5)
    yield loop
    go.set()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def quits():
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("halt", "told"),
    [
        (lambda: None, "; it was halted"),
        (broken, "; its halt failed: ValueError: out of order"),
        (quits, "; its halt failed: SystemExit: 3"),
    ],
)
def test_what_can_be_halted_is_halted_while_the_loop_hangs(blocked_loop, halt, told):
    stage = Halted(halt)
    target = LoopTarget(stage, blocked_loop, 0.3)
    target.halt()
    assert stage.halts.wait(5)
    (verdict,) = target.confirm()
    assert stage.calls == 0
    assert verdict.outcome is Outcome.UNCONFIRMED
    assert verdict.detail == f"not latched: its stop did not return within 0.3 s{told}"


def test_a_part_that_can_be_halted_is(blocked_loop):
    crate = Crate()
    target = LoopTarget(crate, blocked_loop, 0.3)
    target.halt()
    assert crate.axis.halts.wait(5)
    assert "it was halted" in target.confirm()[0].detail


def test_a_halt_that_hangs_holds_nothing_up(blocked_loop):
    go = threading.Event()
    stage = Halted(lambda: go.wait(30))
    target = LoopTarget(stage, blocked_loop, 0.3)
    before = time.monotonic()
    target.halt()
    assert stage.halts.wait(5)
    (verdict,) = target.confirm()
    assert time.monotonic() - before < 10
    assert verdict.detail.endswith("within 0.3 s; its halt did not return")
    go.set()


async def test_what_was_halted_is_stopped_and_confirmed_too():
    stage = Halted()
    async with rig_of(stage=stage).running():
        (verdict,) = (await in_thread(stop.stop_all, "test")).verdicts
        assert (stage.calls, stage.halts.is_set()) == (1, True)
        assert (verdict.outcome, verdict.detail) == (
            Outcome.CONFIRMED,
            "not latched: its own stop, no link of ours",
        )
