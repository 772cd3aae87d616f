"""Whatever happens in whatever order: a stop stops, nothing hangs, no reply goes astray, nothing ends twice.

``RDAQ_EXAMPLES`` sets how many histories are tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from pathlib import Path

import bluesky.plan_stubs as bps
import pytest
from bluesky.utils import FailedStatus, TransitionError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.errors import RdaqError, StopLatched
from rdaq_ophyd.link import LinkState
from rdaq_ophyd.sim import SimEsp300, serve_pty
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.stop import Outcome, latch, reset, stop_all
from rdaq_ophyd.watchdog._ports import Port, Ports

#: Within this every request has ended: a reply's time-out, a late reply's, and a busy machine.
BOUND = 20.0
#: What only one question is answered with.
QUESTIONS = {b"VE?\r": rb"ESP300.*", b"1ID?\r": rb"", b"3ID?\r": rb"", b"2SN?\r": rb"2", b"3SN?\r": rb"7"}
MOTION = re.compile(rb"\d(PA|PR|OR|MV|MO)[^?]")
"""What sets something in motion, or gives it power to."""


class Bench:
    """One RunEngine for all histories, and the devices that are there at the moment."""

    def __init__(self) -> None:
        self.devices: list = []
        self.engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=lambda: self.devices, person=False)
        self.loop = self.engine.loop

    def start(self, coroutine) -> Future:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine):
        return self.start(coroutine).result(BOUND)


@functools.cache
def bench() -> Bench:
    """Made with the first history, not with the import."""
    return Bench()


def in_thread(function) -> Future:
    """Its outcome; a thread of its own, since several may wait."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  the future's
            future.set_exception(error)

    threading.Thread(target=run, name="asyncio_history").start()
    return future


class StopMachine(RuleBasedStateMachine):
    """An ESP300 with two axes, its link, a stop-all, and a watchdog's rescue."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="rdaq-machine-")
        self.path = str(Path(self.folder.name) / "esp300")
        self.port = serve_pty(SimEsp300(speed=40.0), lift_baud=True, link=Path(self.path))
        self.plugged, self.alive = True, True
        self.requests: list[tuple[bytes, Future]] = []
        self.moves: list[Future] = []
        self.ended: dict[int, int] = {}
        self.numbers = itertools.count()
        self.latched_at: int | None = None
        self.engine = bench().engine
        self.engine.plan_end.__enter__()
        self.plan: Future | None = None
        self.open_session()

    # -- a session ------------------------------------------------------------------------------------------------

    def open_session(self) -> None:
        self.stage = Esp300(self.path, {1: "x", 2: "y"}, name="stage")
        bench().devices = [self.stage]
        bench().run(self.stage.connect(timeout=BOUND))
        self.alive = True

    def note(self, future: Future) -> Future:
        number = next(self.numbers)
        self.ended[number] = 0

        def count(_: Future) -> None:
            self.ended[number] += 1

        future.add_done_callback(count)
        return future

    def usable(self) -> bool:
        return self.alive and self.plugged

    # -- what can happen ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.alive)
    @rule(axis=st.sampled_from(["x", "y"]), place=st.integers(-20, 20))
    def move(self, axis, place):
        device = getattr(self.stage, axis)

        async def go():
            await device.enabled.set(True)
            await device.set(float(place))

        self.moves.append(self.note(bench().start(go())))

    @precondition(lambda self: self.alive)
    @rule(questions=st.lists(st.sampled_from(sorted(QUESTIONS)), min_size=1, max_size=8))
    def read(self, questions):
        for question in questions:
            try:
                future = self.stage.channel.link.submit(question, reply=self.stage.protocol.reply, safe=True)
            except RdaqError:
                assert not self.plugged  # the only reason not to take a question
            else:
                self.requests.append((question, self.note(future)))

    @precondition(lambda self: self.alive)
    @rule(place=st.integers(-20, 20))
    def move_past_the_driver(self, place):
        """Straight through the link, which alone keeps it behind the latch."""
        with contextlib.suppress(RdaqError):  # stopped, or no port: what counts is what is on the wire
            self.moves.append(self.note(self.stage.channel.link.submit(b"1PA%d\r" % place, reply=False)))

    @rule(which=st.integers(0, 20))
    def cancel(self, which):
        pending = [f for _, f in self.requests] + self.moves
        if pending:
            pending[which % len(pending)].cancel()

    @precondition(lambda self: self.alive)
    @rule()
    def halt(self):
        bench().start(self.stage.stop()).exception(BOUND)

    # -- plans ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.plan is None)
    @rule(places=st.lists(st.integers(-20, 20), min_size=1, max_size=4))
    def run_plan(self, places):
        axis, latched = self.stage.x, latch.tripped

        def plan():
            yield from bps.mv(axis.enabled, True)
            for place in places:
                yield from bps.checkpoint()
                yield from bps.mv(axis, place)

        self.begin(lambda: self.engine(plan()), "idle")
        if latched:
            assert isinstance(self.plan.exception(BOUND), StopLatched)

    def begin(self, call, state) -> None:
        """Let the engine have a plan, and wait until it has taken it."""
        self.plan = in_thread(call)
        end = time.monotonic() + BOUND
        while self.engine.state == state and not self.plan.done():
            assert time.monotonic() < end, f"still {state}"
            time.sleep(0.0005)

    @precondition(lambda self: self.plan is not None)
    @rule()
    def pause(self):
        with contextlib.suppress(TransitionError):  # it is over, or paused already
            self.engine.request_pause(defer=False)
        self.plan.exception(BOUND)

    @precondition(lambda self: self.plan is not None)
    @rule()
    def resume(self):
        if self.engine.state != "paused":
            return
        latched = latch.tripped
        self.begin(self.engine.resume, "paused")
        if latched:
            assert isinstance(self.plan.exception(BOUND), StopLatched | TransitionError)

    @precondition(lambda self: self.plan is not None)
    @rule()
    def abort(self):
        ended = in_thread(lambda: self.engine.abort("the machine says so"))
        outcome = ended.exception(BOUND)
        assert isinstance(outcome, TransitionError | FailedStatus | RdaqError | None), repr(outcome)
        self.end_plan()

    # -- stops ----------------------------------------------------------------------------------------------------

    @rule()
    def stop_all(self):
        before = time.time()
        report = stop_all("the machine says so")
        self.check_order(before)
        if self.latched_at is None:
            # What was written before the halt was confirmed, or lost with the port, has arrived by now.
            self.latched_at = len(self.port.log.bytes())
        if self.usable():
            # A camera that some other test left to the garbage collector may be there too.
            mine = {v.device: v.outcome for v in report.verdicts if v.device.startswith("stage")}
            assert mine == dict.fromkeys(("stage-x", "stage-y"), Outcome.CONFIRMED), str(report)
            assert not self.moving()

    @precondition(lambda self: self.latched_at is not None)
    @rule()
    def reset(self):
        doubtful = any(v.outcome is not Outcome.CONFIRMED for v in latch.verdicts or ())
        self.settle()
        self.check_silence()
        reset("looked", force=doubtful)
        assert not latch.tripped
        self.latched_at = None

    @precondition(lambda self: self.plugged)
    @rule()
    def unplug(self):
        self.port.disconnect()
        self.plugged = False
        self.wait_for(LinkState.LOST)  # noticed by itself, whether anybody asks or not

    @precondition(lambda self: not self.plugged)
    @rule()
    def replug(self):
        self.settle()
        self.port.reconnect()
        self.plugged = True
        before = len(self.port.log.bytes())
        self.wait_for(LinkState.CONNECTED)
        assert not MOTION.search(self.port.log.bytes()[before:]), "something was sent again"

    def wait_for(self, wanted: LinkState) -> None:
        there = threading.Event()
        link = self.stage.channel.link
        end = link.watch(lambda state: there.set() if state is wanted else None)
        assert link.state is wanted or there.wait(BOUND), f"the link is {link.state}, not {wanted}"
        end()

    @precondition(lambda self: self.usable())
    @rule()
    def kill(self):
        """The session is gone without a word; its watchdog has the port."""
        link = self.stage.channel.link
        ports = Ports()
        ports._ports["1"] = Port(self.path, link.duplicate(), list(self.stage.safe_states()))
        self.stage.close()
        self.settle()
        report = ports.rescue("its session died", "watchdog")
        if self.latched_at is None:
            self.latched_at = len(self.port.log.bytes())
        assert not report.unconfirmed, str(report)
        assert not self.moving()
        self.open_session()

    # -- what must hold -------------------------------------------------------------------------------------------

    def moving(self) -> bool:
        return self.port.call(lambda now: any(a.velocity(now) != 0 for a in self.port.instrument.axes.values()))

    def end_plan(self) -> None:
        """A plan ends, or it is paused and aborted; a pause that was asked for just before its end may still come."""
        if self.plan is not None:
            self.plan.exception(BOUND)
            self.engine.plan_end.wait()
            if self.engine.state == "paused":
                outcome = in_thread(lambda: self.engine.abort("the end")).exception(BOUND)
                assert isinstance(outcome, TransitionError | FailedStatus | RdaqError | None), repr(outcome)
            self.plan = None
        assert self.engine.state == "idle"

    def settle(self) -> None:
        """Everything that was asked for ends, in time, once, and with its own answer."""
        self.end_plan()
        # Of one that was cancelled while it waited, `wait` hears only when its turn has come.
        futures = [f for f in [*(f for _, f in self.requests), *self.moves] if not f.cancelled()]
        _, late = wait_for(futures, timeout=BOUND)
        assert not late, f"{len(late)} requests hang"
        for question, future in self.requests:
            if not future.cancelled() and future.exception() is None:
                assert re.fullmatch(self.expected(question), future.result().strip()), (question, future.result())
        self.requests.clear()
        self.moves.clear()
        assert all(count == 1 for count in self.ended.values()), self.ended

    def expected(self, question: bytes) -> bytes:
        if question[1:3] == b"ID":
            axis = self.port.instrument.axes[int(question[:1])]
            return re.escape(f"{axis.stage.model}, {axis.stage.serial}".encode())
        return QUESTIONS[question]

    def check_silence(self) -> None:
        if self.latched_at is None:
            return
        since = self.port.log.bytes()[self.latched_at :]
        motion = MOTION.search(since)
        assert motion is None, f"{since[motion.start() :]!r} after the stop"

    def check_order(self, since: float) -> None:
        """On the wire, nothing that moves comes behind the first halt of a stop-all."""
        entries = [entry for entry in self.stage.channel.link.trace() if entry.at >= since]
        written = [entry.data for entry in entries if entry.kind in ("out", "preempt")]
        halts = [n for n, data in enumerate(written) if data.startswith(b"ST\r")]
        assert not halts or not MOTION.search(b"".join(written[halts[0] :])), written

    @invariant()
    def nothing_moves_off_after_the_latch(self):
        self.check_silence()

    def teardown(self) -> None:
        try:
            self.settle()
            self.check_silence()
        finally:
            self.engine.plan_end.__exit__()
            self.stage.close()
            self.port.close()
            self.folder.cleanup()
            if latch.tripped:
                reset("the next history", force=True)


@pytest.fixture(scope="module", autouse=True)
def one_engine() -> Iterator[None]:
    """Made before a test looks for what it left behind, ended after the last."""
    engine = bench().engine
    yield
    stop_loop(engine)


TestStopMachine = StopMachine.TestCase
TestStopMachine.settings = settings(
    max_examples=int(os.environ.get("RDAQ_EXAMPLES", "15")),
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
