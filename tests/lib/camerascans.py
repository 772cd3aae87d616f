"""Flights of a camera, pauses at a moment, and what the documents of a run tell."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import TriggerInfo


def flight(cam, number, exposure=0.005, collecting=True):
    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=number, livetime=exposure), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        if collecting:
            yield from bps.collect_while_completing([cam], [cam], flush_period=0.05, stream_name="primary")
        else:
            yield from bps.complete(cam, wait=True)
            yield from bps.collect(cam, name="primary")

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
