"""A camera of 200 frames a second and a card of 8 × 10 kHz at once, in a daemon of its own and a real browser."""

from __future__ import annotations

import pytest
from benchmarks._browser import PROGRAM, Browser
from benchmarks._minute import watch_minute
from benchmarks._minute_server import CHANNELS, RATE, SAMPLES, SIZE
from full import only_in_full
from troubled import LOADED, troubled_rig

from rdaq_ophyd.server import Server

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)"),
    pytest.mark.usefixtures("untraced"),
    pytest.mark.timeout(300),
]
MIB = 1 << 20
FRAMES = 2 * SIZE * SIZE * RATE
"""Bytes a second; and of the samples, with what the levels of the history add."""
SAMPLED = 4 * CHANNELS * SAMPLES * (1 + 2 / 15)
WARM = 1.5


@pytest.mark.parametrize("seconds", [3.0, pytest.param(60.0, marks=only_in_full)])
def test_all_is_shown_or_accounted_for_and_neither_side_grows(browser, seconds):
    found = watch_minute(browser, seconds, WARM)
    assert found.exact_frames
    assert found.exact_samples
    assert found.shown > 0
    assert found.as_fast == pytest.approx(1, rel=0.1)
    # A daemon that kept what it could not send would have all but the few frames that are shown.
    assert found.daemon < min(24 * MIB, 0.8 * seconds * FRAMES)
    # The history fills, once in the page's memory and once on the GPU, and then it is full.
    history = 2 * min(found.history, (WARM + seconds) * SAMPLED)
    assert found.browser < history + 48 * MIB
    assert found.heap < 8 * MIB


@only_in_full
def test_a_page_that_is_hidden_for_minutes_keeps_its_connections_and_its_move(tmp_path):
    """Chromium lets its timers run once a minute then, here from the third second on."""
    options = ["--disable-gpu-compositing", "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/3"]
    with troubled_rig(tmp_path) as session, Server(session, page=0) as server, Browser(*options) as browser:
        axis, tab = session.rig["x"], browser.open(server.page)
        tab.until(LOADED)
        axis.free = False
        tab.run("void rdaq.connection.begin('Move', {name: 'x', target: 3}).done.catch(() => 0)")
        tab.until("rdaq.runs.state.moving.includes('x')")
        tab.run("(rdaq.lost = 0, rdaq.ticks = 0, setInterval(() => rdaq.ticks++, 1000), 0)")
        for each in ("connection", "stop"):
            tab.run(f"rdaq.{each}.addEventListener('lost', () => rdaq.lost++)")
        browser.open("about:blank")
        tab.until("document.hidden")
        tab.run("(rdaq.since = performance.now())")
        tab.until("performance.now() - rdaq.since > 130e3", seconds=150)
        assert tab.run("rdaq.ticks") < 90  # else they are not held back here
        assert tab.run("rdaq.lost") == 0
        assert axis.log == ["x moves to 3"]
        axis.free = True
        tab.until("rdaq.runs.state.moving.length === 0")
