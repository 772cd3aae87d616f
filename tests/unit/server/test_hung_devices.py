"""Devices of others that never answer and never stop: whoever asks is told, and they hold nobody else up for good."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import pytest
import pytest_asyncio
from awaited import until
from bluesky.protocols import Location
from scripted import a_lab

from rdaq_ophyd.errors import EngineBusy, RdaqError, ReplyTimeout, StopUnconfirmed
from rdaq_ophyd.server import _bounds, _devices
from rdaq_ophyd.server._devices import Devices
from rdaq_ophyd.server._triggers import triggered
from rdaq_ophyd.server._web_calls import told
from rdaq_ophyd.startup import _halting
from rdaq_ophyd.stop import Outcome, reset, stop_all
from rdaq_ophyd.wire import messages


@pytest.fixture(scope="module")
def lab(nothing_left_by_module):
    with a_lab() as made:
        yield made


@pytest_asyncio.fixture
async def rig(lab, monkeypatch):
    for target in lab.rig._targets.values():
        monkeypatch.setattr(target, "_seconds", 0.3)
    devices = Devices(SimpleNamespace(RE=lab.RE, rig=lab.rig))
    lab.log.clear()
    yield SimpleNamespace(devices=devices, RE=lab.RE, log=lab.log, x=lab.rig["x"], meter=lab.rig["meter"])
    lab.rig["x"].free, lab.rig["x"].deaf = True, False
    await until(lambda: not lab.RE.turns.moving)


@pytest.fixture
def hangs(lab, monkeypatch):
    """Let a method of a device hang, until the test is over."""
    over = asyncio.Event()

    def let(device, method):
        async def hang(*_args, **_kwargs):
            await over.wait()

        monkeypatch.setattr(type(device), method, hang, raising=False)

    yield let
    lab.RE.loop.call_soon_threadsafe(over.set)


def move(rig):
    return rig.devices.move(messages.MoveRequest(name="x", target=-1.0))


async def a_move_whose_client_went(rig):
    """Under way on an axis whose stop does not return."""
    rig.x.free, rig.x.deaf = False, True

    async def client():
        async for _ in move(rig):
            pass

    task = asyncio.create_task(client())
    await until(lambda: rig.x.moving)
    task.cancel()
    return task


async def ended(task):
    async with asyncio.timeout(20):
        with contextlib.suppress(asyncio.CancelledError):
            await task


# -- stops ----------------------------------------------------------------------------------------------------


async def test_a_stop_that_does_not_return_gives_the_turn_back_when_its_time_is_over(rig, monkeypatch, caplog):
    monkeypatch.setattr(_halting, "STOP_BOUND", 0.2)
    task = await a_move_whose_client_went(rig)
    await until(lambda: "x stop" in rig.log)
    with pytest.raises(EngineBusy, match="x is set by hand"):
        rig.RE.turns.check("scan")
    await ended(task)
    assert "did not confirm its stop" in caplog.text
    rig.RE.turns.check("scan")


async def test_a_move_that_does_not_end_at_all_is_left_behind(rig, monkeypatch, caplog):
    """Also where the loop does nothing meanwhile, and no bound there helps."""
    monkeypatch.setattr(_bounds, "STOP_BOUND", 0.1)
    monkeypatch.setattr(_bounds, "SLACK", 0.1)
    held, go_on = threading.Event(), threading.Event()
    task = await a_move_whose_client_went(rig)
    rig.RE.loop.call_soon_threadsafe(lambda: (held.set(), go_on.wait(20)))
    try:
        await ended(task)
        assert "x: the move does not end although it was told to stop: left behind" in caplog.text
        rig.RE.turns.check("scan")
    finally:
        go_on.set()


async def test_after_a_stop_all_it_is_waited_for_less(rig, monkeypatch, caplog):
    monkeypatch.setattr(_bounds, "SLACK", 0.1)
    task = await a_move_whose_client_went(rig)
    await until(lambda: "x stop" in rig.log)
    report = await asyncio.to_thread(stop_all, "smoke")
    assert {v.device: v.outcome for v in report.verdicts}["x"] is Outcome.UNCONFIRMED
    await ended(task)
    assert "left behind" in caplog.text
    rig.x.deaf = False
    await asyncio.to_thread(lambda: reset("no smoke", force=True))
    assert await asyncio.to_thread(lambda: rig.RE(bps.null()).exit_status) == "success"


async def test_a_stop_of_one_device_that_does_not_return_is_told(rig, monkeypatch):
    monkeypatch.setattr(_devices, "STOP_BOUND", 0.1)
    rig.x.deaf = True
    with pytest.raises(StopUnconfirmed, match=r"the stop of x did not return within 0\.1 s"):
        await rig.devices.stop("x")


async def test_a_stop_of_one_device_goes_out_although_its_client_has_gone(rig, monkeypatch):
    stops, goes_on = threading.Event(), asyncio.Event()

    async def stop(_axis, success=False):
        await goes_on.wait()
        stops.set()

    monkeypatch.setattr(type(rig.x), "stop", stop)
    call = asyncio.ensure_future(rig.devices.stop("x"))
    await asyncio.sleep(0)  # it has arrived
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    rig.RE.loop.call_soon_threadsafe(goes_on.set)
    assert await asyncio.to_thread(stops.wait, 20)
    await rig.devices.close()


async def test_what_was_triggered_and_does_not_stop_either_ends_in_time(rig, hangs, monkeypatch, caplog):
    monkeypatch.setattr(_halting, "STOP_BOUND", 0.1)
    hangs(rig.meter, "trigger")
    hangs(rig.meter, "stop")
    async with asyncio.timeout(20):
        with pytest.raises(RdaqError, match=r"meter took longer than 0\.1 s, and was stopped"):
            await rig.devices.on_engine(lambda: triggered(rig.meter, 0.1))
    assert "did not confirm its stop" in caplog.text


# -- questions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "method", "ask"),
    [
        ("meter", "read", lambda devices: devices.read(["x", "meter"])),
        ("x", "describe", lambda devices: devices.described("x")),
        ("x", "describe", lambda devices: devices.listed()),
        ("x", "locate", lambda devices: devices.located(["x"])),
        ("x", "locate", lambda devices: anext(devices.move(messages.MoveRequest(name="x", target=1.0)))),
    ],
    ids=["read", "describe", "list", "locate", "move"],
)
async def test_a_device_that_does_not_answer_is_named(rig, hangs, monkeypatch, name, method, ask):
    monkeypatch.setattr(_bounds, "ANSWER", 0.2)
    monkeypatch.setattr(type(rig.x), "locate", located, raising=False)
    hangs(getattr(rig, name), method)
    async with asyncio.timeout(20):
        with pytest.raises(ReplyTimeout, match=rf"^{name} did not answer within 0\.2 s"):
            await ask(rig.devices)
    rig.RE.turns.check("scan")


async def located(_axis):
    return Location(setpoint=0.0, readback=0.0)


async def test_a_loop_that_is_blocked_is_told_too(rig, monkeypatch):
    monkeypatch.setattr(_bounds, "ANSWER", 0.2)
    held, go_on = threading.Event(), threading.Event()
    rig.RE.loop.call_soon_threadsafe(lambda: (held.set(), go_on.wait(20)))
    try:
        with pytest.raises(ReplyTimeout, match="a plan keeps the event loop of the devices busy"):
            await rig.devices.read(["meter"])
    finally:
        go_on.set()
    assert (await rig.devices.read(["meter"])).readings["meter-power"].value.number == 1.0


async def test_a_time_out_of_the_device_itself_stays_its_own(rig, monkeypatch):
    async def read(_meter):
        raise TimeoutError("the lamp is cold")

    monkeypatch.setattr(type(rig.meter), "read", read)
    with pytest.raises(TimeoutError, match="the lamp is cold"):
        await rig.devices.read(["meter"])


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("3")], ids=lambda e: type(e).__name__)
async def test_a_device_that_would_end_the_program_fails_whoever_asks(rig, monkeypatch, error):
    async def read(_meter):
        raise error

    monkeypatch.setattr(type(rig.meter), "read", read)
    with pytest.raises(RdaqError, match=rf"a device wanted to end the program \({type(error).__name__}: 3\)"):
        await rig.devices.read(["meter"])
    monkeypatch.undo()
    assert (await rig.devices.read(["meter"])).readings["meter-power"].value.number == 1.0


def test_an_instrument_that_times_out_is_no_fault_of_the_page_and_a_mistake_is_told_in_the_log(caplog):
    """A mute one times out each time that a card is read."""
    assert told(TimeoutError("link:x#1TP?"))["what"] == "TimeoutError: link:x#1TP?"
    assert caplog.records == []
    told(ZeroDivisionError("by us"))
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]
