"""A camera of 200 frames a second and viewers that cannot keep up: STOP gets through, and nobody waits."""

from __future__ import annotations

import json
import threading
import time
from itertools import pairwise

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from benchmarks._browser import PROGRAM
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import TriggerInfo
from optics import no_tiled
from planthread import PlanThread
from websockets.sync.client import connect

from rdaq_ophyd.plans import enable
from rdaq_ophyd.startup import start
from rdaq_ophyd.stop import latch, reset
from rdaq_ophyd.wire import frame_from

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
RATE, SIZE = 200.0, 256
MOST = 100_000
"""Frames of a flight: far more than a test needs, so that it is always the STOP that ends it."""
BOUND = 30


@pytest.fixture(scope="module")
def session(profile_path, data_dir, tmp_path_factory, nothing_left_by_module):
    path = tmp_path_factory.mktemp("loaded") / "loaded.py"
    path.write_text(profile_path.read_text().replace("width=64, height=48", f"width={SIZE}, height={SIZE}"))
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(path), data_dir=data_dir) as made:
            made.RE(bps.mv(made.rig["x"].velocity, 1.0))
            made.RE(enable(made.rig["x"]))
            yield made


@pytest.fixture(scope="module")
def tab(page):
    page.until("rdaq.devices.cards.length")
    return page


class Viewer(threading.Thread):
    """Another page, as the rig sees it: takes a frame, and grants the next one after a pause.

    :param pause: seconds that it takes to draw one.
    """

    def __init__(self, server, pause):
        super().__init__()
        self.address, self.pause, self.over = f"ws://{server.page.split('://')[1]}ws", pause, threading.Event()
        self.headers = []
        self.start()

    def run(self):
        with connect(self.address, max_size=None, proxy=None) as socket:
            wanted = {"camera": "cam", "scale": 1, "credits": 2}
            socket.send(json.dumps({"id": 1, "call": "StreamFrames", "request": wanted}))
            while not self.over.is_set():
                try:
                    said = socket.recv(0.1)
                except TimeoutError:
                    continue
                if isinstance(said, bytes):
                    self.headers.append(frame_from(said)[0])
                    self.over.wait(self.pause)
                    socket.send('{"id": 1, "more": {"credits": 1}}')

    def end(self):
        self.over.set()
        self.join(BOUND)
        assert not self.is_alive()


@pytest.fixture
def flight(session, server, tab):
    """The camera flies and an axis moves, until everything is stopped; the viewers beside the browser."""
    if latch.tripped:
        reset("the next test begins", force=True)
    cam, x = session.rig["cam"], session.rig["x"]
    session.RE(bps.mv(x, 0))

    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        trigger = TriggerInfo(number_of_events=MOST, livetime=0.001, deadtime=1 / RATE - 0.001)
        yield from bps.prepare(cam, trigger, wait=True)
        yield from bps.abs_set(x, 20.0)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from bps.collect_while_completing([cam], [cam], flush_period=0.2, stream_name="primary")

    tab.until("document.getElementById('latch').hidden && rdaq.runs.state.engine === 'idle'")
    viewers = {"quick": Viewer(server, 0.0), "slow": Viewer(server, 0.3)}
    thread = PlanThread(session.RE, plan())
    try:
        tab.until("rdaq.image.frame?.counts.drawn > 5 && rdaq.runs.state.engine === 'running'")
        yield viewers
    finally:
        if not latch.tripped:
            tab.key("Escape")
        for viewer in viewers.values():
            viewer.end()
        thread.join(BOUND)
        assert not thread.is_alive()


def until(condition):
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


@pytest.mark.parametrize("how", ["click", "key"])
def test_stop_gets_past_the_frames_of_three_viewers(tab, bench, session, flight, how):
    until(lambda: len(flight["quick"].headers) > 50 and len(flight["slow"].headers) > 2)
    called = time.monotonic_ns()
    if how == "click":
        tab.click("#stop")
    else:
        tab.key("Escape")
    tab.until("document.querySelectorAll('#verdicts tr').length && !document.getElementById('latch').hidden")
    assert any(at > called for at in bench.arrivals("esp300", b"ST\r"))
    told = "[...document.querySelectorAll('#verdicts tr')].map((row) => [...row.children].map((c) => c.textContent))"
    verdicts = {row[0]: row[1] for row in tab.run(told)}
    assert verdicts.keys() >= {"x", "y", "cam"}
    assert verdicts["x"] == verdicts["cam"] == "confirmed"
    tab.until("rdaq.runs.state.engine === 'idle'")
    quick = flight["quick"]
    held = len(quick.headers)
    tab.fill("#reset-reason", "the beam is dumped")
    tab.click("#reset button")
    tab.until("document.getElementById('latch').hidden")
    assert not latch.tripped
    assert len(quick.headers) - held < 5  # a reset starts nothing


def test_the_slow_hold_up_neither_the_quick_nor_the_camera(tab, session, flight):
    quick, slow = flight["quick"], flight["slow"]
    until(lambda: len(slow.headers) > 5 and len(quick.headers) > 100)
    assert len(quick.headers) > 3 * len(slow.headers)
    numbers = [header.sequence for header in quick.headers]
    assert all(later > before for before, later in pairwise(numbers))
    # The camera's own clock: as many frames as its rate asks for, whoever looks on.
    first, last = quick.headers[10], quick.headers[-1]
    rate = (last.sequence - first.sequence) / (last.host_time - first.host_time)
    assert rate == pytest.approx(RATE, rel=0.1)
    for viewer in (quick, slow):
        header = viewer.headers[-1]
        assert 0 <= header.offered - header.skipped - len(viewer.headers) <= 1  # exact, with one that may wait
    # None on a machine with time; a busy one loses some at its disk, which the page says.
    lost = call_in_bluesky_event_loop(session.rig["cam"].frames_lost.get_value(), 5)
    counts = json.loads(tab.run("JSON.stringify(rdaq.image.frame.counts)"))
    assert counts["skipped"] > 0
    tab.until("document.getElementById('skipped').textContent", lambda text: int(text) >= counts["skipped"])
    tab.until("document.getElementById('lost').textContent", lambda text: int(text) >= lost)
