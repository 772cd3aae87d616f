"""Plans and devices that would end the program: the plan fails in words, and the event loop goes on."""

import asyncio
import sys
import threading
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import Msg
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from ophyd_async.core import AsyncStatus, StandardReadable, soft_signal_rw

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.startup import _orderly
from rdaq_ophyd.startup._quits import LastingLoop
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop


class OwnQuit(BaseException):
    """What a library may end a program with."""


class Quitter(StandardReadable):
    """Ends the program wherever it is told to."""

    def __init__(self, error, where) -> None:
        self.error, self.where = error, where
        with self.add_children_as_readables():
            self.value = soft_signal_rw(float, 1.0)
        super().__init__(name="quitter")

    def _meet(self, where):
        if where == self.where:
            raise self.error

    @AsyncStatus.wrap
    async def set(self, value):
        await asyncio.sleep(0)
        self._meet("set")

    async def read(self):
        self._meet("read")
        return await super().read()

    def halt(self):
        self._meet("halt")

    async def stop(self, success=True):
        self._meet("stop")


def ran(RE, plan):
    """What a call raises; called from a thread of its own, since without an answer it would never return."""
    told = []

    def call():
        try:
            told.append(RE(plan))
        except BaseException as error:  # noqa: BLE001 what it is, is what is asked here
            told.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "the call never returned"
    return told[0]


def goes_on(RE):
    assert RE.state == "idle"
    assert call_in_bluesky_event_loop(asyncio.sleep(0, "alive"), timeout=10) == "alive"
    assert RE(bps.null()).exit_status == "success"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), OwnQuit("own")], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("how", ["first", "later", "after an error", "in its clean-up"])
def test_a_plan_that_quits_fails_and_the_loop_goes_on(rig, documents, error, how):
    log = rig.log

    def quits():
        if how == "first":
            raise error
        try:
            yield from bps.sleep(0)
            if how == "after an error":
                yield Msg("no such message")
        except Exception:  # noqa: BLE001 as careless plans do
            raise error from None
        if how == "later":
            raise error

    def plan():
        yield from bps.open_run()
        yield from quits()
        if how == "in its clean-up":
            try:
                raise ValueError
            finally:
                raise error
        yield from bps.close_run()

    def clean_up():
        yield from bps.null()
        log.append("clean-up")

    failed = ran(rig.RE, bpp.finalize_wrapper(plan(), clean_up))
    assert isinstance(failed, RdaqError), repr(failed)
    assert f"the plan wanted to end the program ({type(error).__name__}" in str(failed)
    assert failed.__cause__ is error
    stop = documents[-1][1]
    assert stop["exit_status"] == "fail"
    assert type(error).__name__ in stop["reason"]
    goes_on(rig.RE)


def test_a_plan_that_calls_exit(rig):
    def plan():
        yield from bps.null()
        sys.exit("no more")

    assert "(SystemExit: no more)" in str(ran(rig.RE, plan()))
    goes_on(rig.RE)


def test_a_preprocessor_that_quits(rig):
    def quits():
        yield from bps.null()
        raise SystemExit(4)

    rig.RE.preprocessors.append(lambda plan: bpp.pchain(plan, quits()))
    try:
        assert "(SystemExit: 4)" in str(ran(rig.RE, bps.null()))
    finally:
        rig.RE.preprocessors.pop()
    goes_on(rig.RE)


@pytest.mark.parametrize("error", [SystemExit(4), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("where", ["set", "read", "halt", "stop"])
def test_a_device_that_quits_fails_its_plan(rig, documents, caplog, error, where):
    device = Quitter(error, where)
    call_in_bluesky_event_loop(device.connect(), timeout=20)

    def plan():
        yield from bps.open_run()
        yield from bps.mv(device, 1.0)
        yield from bps.create()
        yield from bps.read(device)
        yield from bps.save()
        if where == "halt":
            raise ValueError("halts everything")
        yield from bps.close_run()

    failed = ran(rig.RE, plan())
    kind = type(error).__name__
    if where == "set":
        assert isinstance(failed, FailedStatus)
        assert failed.__cause__ is error
    elif where == "read":
        assert isinstance(failed, RdaqError)
        assert f"the message 'read' of the plan wanted to end the program ({kind}" in str(failed)
    else:
        assert isinstance(failed, ValueError) if where == "halt" else failed.exit_status == "success"
        assert "stop of" in caplog.text
    assert documents[-1][1]["exit_status"] == ("success" if where == "stop" else "fail")
    goes_on(rig.RE)


def test_a_message_that_was_registered_later_is_contained_too(rig):
    async def quits(_msg):
        raise SystemExit(5)

    rig.RE.register_command("quit", quits)
    try:
        assert "the message 'quit' of the plan" in str(ran(rig.RE, iter([Msg("quit")])))
    finally:
        rig.RE.unregister_command("quit")
    goes_on(rig.RE)


def test_a_subscriber_that_quits_at_the_end_of_a_run(rig):
    """The RunEngine's own clean-up breaks off, and it comes to rest all the same."""

    def quits(name, _document):
        if name == "stop":
            raise SystemExit(6)

    def plan():
        yield from bps.open_run()
        raise ValueError("fails")

    token = rig.RE.subscribe(quits)
    try:
        assert isinstance(ran(rig.RE, plan()), BaseException)
    finally:
        rig.RE.unsubscribe(token)
    goes_on(rig.RE)


def test_a_loop_goes_on_with_what_was_due_and_ends_when_it_is_stopped(caplog):
    loop, done = LastingLoop(), []

    def quits():
        raise SystemExit(7)

    loop.call_soon(quits)
    loop.call_soon(done.append, "due in the same turn")
    loop.call_soon(lambda: loop.call_soon(loop.stop))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert done == ["due in the same turn"]
    assert "wanted to end the event loop" in caplog.text
    loop.close()


def test_a_stop_in_the_turn_of_a_quit_is_not_lost():
    loop = LastingLoop()

    def quits():
        loop.stop()
        raise SystemExit(7)

    loop.call_soon(quits)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    loop.close()


def test_a_loop_that_hangs_is_waited_for_once(rig, monkeypatch):
    monkeypatch.setattr(_orderly, "ANSWERS", 0.3)
    held, go_on = threading.Event(), threading.Event()
    assert rig.RE.answers()
    rig.RE.loop.call_soon_threadsafe(lambda: (held.set(), go_on.wait(30)))
    assert held.wait(10)
    assert not rig.RE.answers()
    monkeypatch.setattr(_orderly, "ANSWERS", 60.0)
    before = time.monotonic()
    assert not rig.RE.answers()
    assert time.monotonic() - before < 30
    go_on.set()
    assert call_in_bluesky_event_loop(asyncio.sleep(0, "alive"), timeout=10) == "alive"
    assert rig.RE.answers()


def test_a_loop_that_is_closed_answers_nothing():
    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    assert RE.answers()
    stop_loop(RE)
    before = time.monotonic()
    assert not RE.answers()
    assert time.monotonic() - before < _orderly.ANSWERS / 2
