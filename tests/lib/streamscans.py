"""What detectors of rows do under the RunEngine: flights, pauses at a moment, N events and N rows across them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import h5py
import pytest
from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import TriggerInfo


def flight(device, number, livetime=0.0, collecting=True):
    @bpp.stage_decorator([device])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(device, TriggerInfo(number_of_events=number, livetime=livetime), wait=True)
        yield from bps.declare_stream(device, name="primary", collect=True)
        yield from bps.kickoff(device, wait=True)
        if collecting:
            yield from bps.collect_while_completing([device], [device], flush_period=0.05, stream_name="primary")
        else:
            yield from bps.complete(device, wait=True)
            yield from bps.collect(device, name="primary")

    return plan()


def flight_until(cam, condition, exposure=0.005, patience=60):
    """Fly, collecting ten times a second, until ``condition()`` holds, at most ``patience`` seconds."""

    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        end = time.monotonic() + patience
        yield from bps.mv(cam.events_to_kickoff, 0)
        yield from bps.prepare(cam, TriggerInfo(number_of_events=0, livetime=exposure), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        while not condition():
            assert time.monotonic() < end, f"it does not hold after {patience} s"
            yield from bps.sleep(0.1)
            yield from bps.collect(cam, name="primary")
        yield from bps.complete(cam, wait=True)
        yield from bps.collect(cam, name="primary")

    return plan()


def pause_when(engine, condition):
    """Pause hard, from another thread, as soon as ``condition()`` holds."""

    def work():
        tick = threading.Event()
        for _ in range(4000):
            if condition():
                engine.request_pause(defer=False)
                return
            tick.wait(0.005)

    thread = threading.Thread(target=work, name="pauser")
    thread.start()
    return thread


def run_paused(engine, plan, condition):
    pauser = pause_when(engine, condition)
    try:
        with pytest.raises(RunEngineInterrupted):
            engine(plan)
    finally:
        pauser.join(30)
    assert engine.state == "paused"


def events_of(docs):
    return Counter(name for name, _ in docs)["event"]


def file_of(docs):
    (uri,) = {d["uri"] for name, d in docs if name == "stream_resource"}
    return Path(uri.removeprefix("file://localhost"))


def covered(docs, key="cam"):
    """Row numbers and event numbers that the stream datums of one data key tell of, in order."""
    resource = next(d["uid"] for name, d in docs if name == "stream_resource" and d["data_key"] == key)
    rows, events = [], []
    for name, document in docs:
        if name == "stream_datum" and document["stream_resource"] == resource:
            rows += range(document["indices"]["start"], document["indices"]["stop"])
            events += range(document["seq_nums"]["start"], document["seq_nums"]["stop"])
    return rows, events


def table_of(engine, plan):
    """Run a plan under the table that a user sees."""
    table = BestEffortCallback()
    table.disable_plots()
    token = engine.subscribe(table)
    try:
        return engine(plan)
    finally:
        engine.unsubscribe(token)


class StreamScans:
    """N events, N rows of the file and N frames or blocks, each the other's. Subclass it with a fixture ``device``."""

    keys: tuple[str, ...]
    """Data keys that are streams in every scan."""
    number, livetime = 50, 0.0
    """Of the flights that are paused; s, 0 for what is set."""

    def slow(self, device):
        """A plan that makes one exposure or block so long that a pause comes within it."""
        raise NotImplementedError

    def check_rows(self, file, number):
        """So many rows, none of them twice or out of order."""
        raise NotImplementedError

    def check(self, docs, number, status="complete"):
        for key in self.keys:
            rows, events = covered(docs, key)
            assert rows == list(range(number))
            assert events == list(range(1, number + 1))
        with h5py.File(file_of(docs)) as file:
            assert file["/entry/exit_status"][()] == status.encode()
            self.check_rows(file, number)

    def test_hard_pause_within_a_row_of_a_step_scan(self, engine, device, docs):
        engine(self.slow(device))
        run_paused(engine, bp.count([device], 3), lambda: events_of(docs) == 1 and device._pipeline.acquiring)
        assert not device._pipeline.acquiring
        engine.resume()
        assert [d["seq_num"] for name, d in docs if name == "event"] == [1, 2, 3]
        self.check(docs, 3)

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("collecting", [True, False])
    def test_hard_pauses_in_a_flight(self, engine, device, docs, collecting, times):
        begun = device._pipeline.rows

        def some_more():
            return device._pipeline.acquiring and device._pipeline.rows >= begun + 5

        run_paused(engine, flight(device, self.number, self.livetime, collecting), some_more)
        for _ in range(times - 1):
            begun = device._pipeline.rows
            pauser = pause_when(engine, some_more)
            with pytest.raises(RunEngineInterrupted):
                engine.resume()
            pauser.join(30)
        engine.resume()
        assert next(d["exit_status"] for name, d in docs if name == "stop") == "success"
        self.check(docs, self.number)

    @pytest.mark.parametrize("message", ["trigger", "wait", "create", "read", "save", "checkpoint"])
    def test_a_pause_at_any_message_of_a_step_scan(self, engine, device, docs, message):
        """Each message of the second point in turn is the one at which the pause comes."""
        seen = Counter()

        def hook(msg):
            seen[msg.command] += 1
            if seen[message] == 2 and msg.command == message:
                engine.loop.create_task(engine._request_pause_coro(False))

        engine.msg_hook = hook
        try:
            with pytest.raises(RunEngineInterrupted):
                engine(bp.count([device], 4))
            engine.resume()
        finally:
            engine.msg_hook = None
        events = [d["seq_num"] for name, d in docs if name == "event"]
        rows, numbers = covered(docs, self.keys[0])
        assert numbers == events, "an event without its row, or a row without its event"
        assert sorted(set(events)) == [1, 2, 3, 4]
        assert rows == list(range(len(events)))
        with h5py.File(file_of(docs)) as file:
            self.check_rows(file, len(events))

    def test_abort_of_a_paused_flight_leaves_what_was_collected(self, engine, device, docs):
        plan = flight(device, 10_000, self.livetime)
        run_paused(engine, plan, lambda: Counter(n for n, _ in docs)["stream_datum"] >= 8)
        engine.abort()
        rows, _ = covered(docs, self.keys[0])
        self.check(docs, len(rows), "aborted")

    @pytest.mark.parametrize("how", ["abort", "stop", "halt"])
    def test_a_paused_flight_that_is_given_up_tells_what_it_took_and_takes_no_more(self, engine, device, docs, how):
        """The plan's clean-up collects; after a halt, which has none, the engine does."""

        def plan():
            yield from bps.prepare(device, TriggerInfo(number_of_events=10_000, livetime=self.livetime), wait=True)
            yield from bps.declare_stream(device, name="primary", collect=True)
            yield from bps.kickoff(device, wait=True)
            try:
                yield from bps.complete(device, wait=True)
            except Exception:  # a halt is none
                yield from bps.collect(device, name="primary")
                raise

        def halted():
            yield from bps.stage(device)
            yield from bps.open_run()
            yield from bps.checkpoint()
            yield from plan()

        whole = halted() if how == "halt" else bpp.stage_wrapper(bpp.run_wrapper(plan()), [device])
        run_paused(engine, whole, lambda: device._pipeline.acquiring and device._pipeline.rows >= 5)
        taken = device._pipeline.rows
        getattr(engine, how)()
        assert not device._pipeline.acquiring
        assert len(covered(docs, self.keys[0])[0]) == taken < 1000
        if how != "halt":  # then the engine does not wait until the file is closed
            self.check(docs, taken, "aborted")

    def test_a_deferred_pause_between_complete_and_collect_takes_nothing_again(self, engine, device, docs):
        @bpp.stage_decorator([device])
        @bpp.run_decorator()
        def plan():
            yield from bps.prepare(device, TriggerInfo(number_of_events=5, livetime=self.livetime), wait=True)
            yield from bps.declare_stream(device, name="primary", collect=True)
            yield from bps.checkpoint()
            yield from bps.kickoff(device, wait=True)
            yield from bps.complete(device, wait=True)
            yield Msg("pause", None, defer=True)
            yield from bps.checkpoint()
            yield from bps.collect(device, name="primary")

        with pytest.raises(RunEngineInterrupted):
            engine(plan())
        assert engine.state == "paused"
        engine.resume()
        self.check(docs, 5)
