"""An engine as a session has it, with devices without hardware."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from softaxis import SoftAxis, SoftFlyer, SoftLaser

from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.stop import latch, pause, reset


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """``RE``, axes ``x`` and ``y``, a flyer outside the rig, a laser, and the ``log`` of what happened to them."""
    log: list[str] = []
    devices: dict = {}
    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)

    async def make():
        devices.update(x=SoftAxis("x", log), y=SoftAxis("y", log), laser=SoftLaser())
        flyer = SoftFlyer("flyer", log)
        for device in (*devices.values(), flyer):
            await device.connect()
        return flyer

    flyer = call_in_bluesky_event_loop(make(), timeout=20)
    with RE.plan_end:
        yield SimpleNamespace(RE=RE, log=log, flyer=flyer, devices=devices, **devices)
    stop_loop(RE)


@pytest.fixture
def rig(bench) -> Iterator[SimpleNamespace]:
    """The bench, with nothing under way before and after."""
    bench.log.clear()
    for axis in (bench.x, bench.y):
        axis.free, axis.deaf, axis.error = True, False, None
    bench.flyer.landed = False
    yield bench
    for axis in (bench.x, bench.y):
        axis.free = True
    if latch.tripped:
        reset("the test is over", force=True)
    if bench.RE.state == "paused":
        bench.RE.abort()
    assert bench.RE.state == "idle"
    assert not pause.is_set


@pytest.fixture
def when() -> Iterator:
    """Act from another thread once a condition holds (bounded)."""
    over, threads = threading.Event(), []

    def start(condition, action) -> None:
        def watch() -> None:
            for _ in range(20_000):
                if condition():
                    action()
                    return
                if over.wait(0.001):
                    return

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def documents(rig) -> Iterator[list]:
    """What the engine emits."""
    found: list = []
    token = rig.RE.subscribe(lambda name, doc: found.append((name, doc)))
    yield found
    rig.RE.unsubscribe(token)
