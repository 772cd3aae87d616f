"""A camera of 200 frames a second and a card of 8 × 10 kHz at once, seen in a browser: what is missing, what grows."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks._browser import Browser, Tab
from benchmarks._child import Child
from benchmarks._minute_server import RATE, SAMPLES, minute_server
from benchmarks._writers import scratch

LOOK = 0.5
"""Seconds between two looks at how much memory there is."""
AGAIN = 30.0
"""Seconds that the flight would go on: it is always ended, by who watches it."""
READY = "typeof rdaq !== 'undefined' && rdaq.connection.isOpen && rdaq.chart.sources.known.size"
SHOWN = "rdaq.image.frame?.counts.drawn > 3 && rdaq.chart.told?.counts.received > 0"
MIB = 1 << 20


@dataclass(frozen=True)
class Minute:
    """What came of both.

    :param seconds: that were measured, after the first few.
    :param taken: frames a second of the camera, written and lost.
    :param lost: of those, all in all.
    :param shown: frames a second.
    :param sent: samples of a channel, all in all; ``missing``: those that did not reach the page in time.
    :param exact_frames: whether those that were shown, replaced and skipped are all that were offered, but for those on
        their way; ``exact_samples``: whether those that came and those that are missing are all.
    :param daemon: bytes by which the daemon grew at most; ``browser``: all of the browser's processes; ``heap``: the
        page's own JavaScript.
    :param history: bytes of the chart's history, which a full one has twice: here and on the GPU.
    """

    seconds: float
    taken: float
    lost: int
    shown: float
    sent: int
    missing: int
    exact_frames: bool
    exact_samples: bool
    daemon: int
    browser: int
    heap: int
    history: int

    @property
    def as_fast(self) -> float:
        """Share of its rate that the camera kept."""
        return self.taken / RATE


def watch_minute(browser: Browser, seconds: float, warm: float) -> Minute:
    """A page that shows both.

    :param seconds: that are measured.
    :param warm: seconds before: pools and caches are filled in these.
    """
    with scratch() as folder, minute_server(folder) as server:
        tab = browser.open(server.ready["page"])
        try:
            return _measure(browser, tab, server, seconds, warm)
        finally:
            tab.leave()
            tab.close()


def _measure(browser: Browser, tab: Tab, server: Child, seconds: float, warm: float) -> Minute:
    tab.until(READY)
    tab.ask("Network.disable")  # nobody takes what is told of each message, for a minute
    tab.run("(document.getElementById('chart-source').value = 'samples:adc', rdaq.chart.sources.choose(true))")
    tab.until("rdaq.chart.state", lambda state: state == "waiting")
    server.ask(what="begin", seconds=warm + seconds + AGAIN)
    tab.until(SHOWN)
    time.sleep(warm)
    tab.ask("HeapProfiler.collectGarbage")
    daemon, chromium = psutil.Process(server.ready["pid"]), psutil.Process(browser.pid)
    before, begun = _sizes(daemon, chromium, tab), time.monotonic()
    first, drawn = server.ask(what="counts"), _counts(tab)["image"]["drawn"]
    most = before
    while time.monotonic() - begun < seconds:
        time.sleep(LOOK)
        most = tuple(map(max, most, _sizes(daemon, chromium, tab)))
    took, then, shown = time.monotonic() - begun, server.ask(what="counts"), _counts(tab)["image"]["drawn"] - drawn
    tab.ask("HeapProfiler.collectGarbage")
    kept = _heap(tab) - before[2]
    last = server.ask(what="end")
    tab.until(f"((c) => c.received + c.missing === {last['sent']})(rdaq.chart.told.counts)")
    counts = _counts(tab)
    image, chart = counts["image"], counts["chart"]
    seen = image["drawn"] + image["replaced"] + image["skipped"]
    taken = sum(then[key] - first[key] for key in ("written", "lost"))
    return Minute(
        seconds=took,
        taken=taken / took,
        lost=last["lost"],
        shown=shown / took,
        sent=last["sent"],
        missing=chart["missing"],
        exact_frames=0 <= image["offered"] - seen <= 1,
        exact_samples=chart["received"] + chart["missing"] == last["sent"] >= SAMPLES * took * 0.9,
        daemon=most[0] - before[0],
        browser=most[1] - before[1],
        heap=kept,
        history=int(tab.run("rdaq.chart.memory")),
    )


def _sizes(daemon: psutil.Process, chromium: psutil.Process, tab: Tab) -> tuple[int, ...]:
    """Bytes of the daemon, of the browser's processes and of the page's JavaScript."""
    programs = [chromium, *chromium.children(recursive=True)]
    return daemon.memory_info().rss, sum(each.memory_info().rss for each in programs), _heap(tab)


def _heap(tab: Tab) -> int:
    return int(tab.metrics()["JSHeapUsedSize"])


def _counts(tab: Tab) -> dict[str, dict[str, Any]]:
    return dict(json.loads(tab.run("JSON.stringify({image: rdaq.image.frame.counts, chart: rdaq.chart.told.counts})")))
