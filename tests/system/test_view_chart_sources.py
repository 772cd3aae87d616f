"""Charts of samples that are missing, of other sources, and of none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from benchmarks._browser import PROGRAM
from charted import (
    BLUE,
    RATE,
    agrees,
    analog_rig,
    arrived,
    begun,
    charted,
    listening,
    picture,
    pixels,
    ranged,
    spans,
    until,
)
from cutproxy import CutProxy
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.samples import Calibration
from rdaq_ophyd.samples._tap import ROOM

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
DOCS = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    calibrations = {"ai1": Calibration("mW", 2.0, 0.0)}
    with analog_rig(tmp_path_factory.mktemp("samples"), 1, 2, 8, **calibrations) as made:
        yield made


@pytest.fixture(scope="module")
def tab(page):
    page.until("rdaq.chart.sources.known.size")
    return page


@pytest.fixture
def fed(tab, session):
    """One channel of a card, as the test wants it, looked at anew."""
    return begun(tab, session.rig["adc0"])


# -- what is missing --------------------------------------------------------------------------------------------


def test_what_the_card_lost_is_a_gap_in_the_line_and_marked(tab, fed):
    ranged(tab, -2, 2)
    fed.send(np.zeros(50_000))
    fed.lose(10_000)
    fed.send(np.zeros(40_000))
    told = arrived(tab, fed.sent)
    counts = told["counts"]
    assert (counts["missing"], counts["dropped"], counts["gaps"]) == (10_000, 0, 1)
    (pane,) = told["panes"]
    values = np.concatenate([np.zeros(50_000), np.full(10_000, np.nan), np.zeros(40_000)])
    drawn = spans(picture(tab), pane, BLUE)
    agrees(drawn, values, told, -2, 2, size=16)
    marked = spans(picture(tab, "all"), pane, (0xFF, 0x7B, 0x72))
    gap = np.flatnonzero(drawn[0] < 0)
    assert set(gap[2:-2]) <= set(np.flatnonzero(marked[0] >= 0)) <= set(range(gap[0] - 2, gap[-1] + 3))
    tab.run("rdaq.chart.point(0.55)")
    charted(tab, "told.cursor?.gap")
    tab.until("document.getElementById('chart-said').textContent", lambda said: "10000 samples are missing" in said)
    assert tab.text("chart-lost") == "10000"
    tab.run("rdaq.chart.point(null)")


def test_one_lost_sample_is_marked_at_any_zoom(tab, fed):
    fed.send(np.zeros(50_000))
    fed.lose(1)
    fed.send(np.zeros(49_999))
    told = arrived(tab, fed.sent)
    marked = spans(picture(tab, "all"), told["panes"][0], (0xFF, 0x7B, 0x72))
    assert 1 <= (marked[0] >= 0).sum() <= 4


def test_a_hidden_page_grants_nothing_and_what_it_missed_is_exact(browser, tab, session):
    feed = begun(tab, session.rig["adc0"])
    feed.send(np.zeros(1000))
    arrived(tab, feed.sent)
    other = browser.open("about:blank")  # in front of it
    tab.until("document.hidden")
    for _ in range(3 * ROOM):
        feed.send(np.zeros(200), pace=False)
    counts = feed.tap.counts
    assert counts.pending <= ROOM * 200
    assert counts.dropped > 0
    taken = counts.delivered
    for _ in range(100):
        feed.send(np.zeros(200), pace=False)
    assert feed.tap.counts.delivered == taken
    other.leave()
    tab.ask("Page.bringToFront")
    tab.until("!document.hidden")
    until(lambda: not feed.tap.counts.pending)
    dropped = feed.tap.counts.dropped
    told = charted(tab, f"told.counts.received + told.counts.missing === {feed.sent}")
    assert told["counts"]["dropped"] == told["counts"]["missing"] == dropped
    tab.until("document.getElementById('chart-dropped').textContent", lambda text: text == str(dropped))


def test_after_a_broken_connection_it_goes_on_and_marks_the_gap(browser, server, session):
    with CutProxy(server.page.split("/")[2]) as proxy:
        tab = browser.open(f"http://{proxy.address}/")
        feed = begun(tab, session.rig["adc0"])
        feed.send(np.zeros(20_000))
        arrived(tab, feed.sent)
        others = feed.fan._taps - {feed.tap}
        proxy.cut()
        until(lambda: feed.fan._taps == others)
        tab.until("document.getElementById('chart-state').textContent", lambda text: "connection broke" in text)
        feed.send(np.zeros(10_000))  # it hears none of them
        proxy.mend()
        until(lambda: feed.fan._taps - others)
        tab.until("rdaq.chart.state", lambda state: state == "waiting")
        feed.send(np.zeros(20_000))
        told = charted(tab, "told.counts.received === 40000")
        counts = told["counts"]
        assert (counts["missing"], counts["dropped"], counts["gaps"]) == (10_000, 0, 1)
        tab.run(f"rdaq.chart.point({(2.5 - told['window']['from']) / told['span']})")
        charted(tab, "told.cursor?.gap?.cut")
        tab.until("document.getElementById('chart-said').textContent", lambda said: "connection was broken" in said)
        tab.leave()
    until(lambda: feed.fan._taps == others)


# -- sources ----------------------------------------------------------------------------------------------------


def test_it_says_when_there_are_no_samples_and_shows_those_of_a_plan(tab, session):
    device = session.rig["adc1"]
    listening(tab, device)
    tab.until("document.getElementById('chart-none').textContent", lambda said: "while a plan uses adc1" in said)
    begin = time.time()

    @bpp.stage_decorator([device])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(device, TriggerInfo(number_of_events=10), wait=True)
        yield from bps.kickoff(device, wait=True)
        yield from bps.complete(device, wait=True)

    session.RE(plan())
    told = charted(tab, "told.counts.received >= 10000")
    assert begin - 5 < told["origin"] < time.time() + 5
    assert told["counts"]["missing"] == told["counts"]["gaps"] == 0
    assert [each["units"] for each in told["ranges"]] == ["V", "mW"]
    tab.until("document.getElementById('chart-none').hidden")
    tab.until("document.getElementById('chart-state').textContent", lambda said: "no samples at the moment" in said)
    until(lambda: sum(1 for _ in device._pipeline.fan._taps) == 1)
    tab.run("(document.getElementById('chart-source').value = '', rdaq.chart.sources.choose())")
    until(lambda: not device._pipeline.fan.listening)  # who looks at nothing costs nothing
    tab.until("document.getElementById('chart-none').textContent", lambda said: "nothing is charted" in said)


def test_a_signal_is_charted_as_it_is_read(tab, session):
    key = tab.until(
        "[...document.querySelectorAll('#chart-source option')].map((each) => each.value)",
        lambda keys: "signal:adc1.rate" in keys,
    )
    assert key[1:4] == ["samples:adc0", "samples:adc1", "samples:adc2"]
    tab.run("(document.getElementById('chart-source').value = 'signal:adc1.rate', rdaq.chart.sources.choose())")
    # One that comes in time is joined to the one before; on a busy machine others may be late, which is a gap.
    told = charted(tab, "told.counts.received >= 3 && told.counts.gaps < told.counts.received - 1", settle=False)
    assert told["newest"] == [{"low": RATE, "high": RATE}]
    assert [each["units"] for each in told["ranges"]] == ["Hz"]


def test_an_unknown_source_is_said(tab):
    tab.run("rdaq.chart.send({do: 'source', source: {kind: 'samples', name: 'nobody'}})")
    tab.until("document.getElementById('log').textContent", lambda text: "unknown device 'nobody'" in text)


def test_everything_has_a_name_and_light_is_light(tab, fed):
    unnamed = (
        "[...document.querySelectorAll('#charts-panel :is(input, select, button, canvas[tabindex])')]"
        ".filter((each) => !(each.labels?.length || each.ariaLabel || each.textContent.trim())).length"
    )
    assert tab.run(unnamed) == 0
    fed.send(np.zeros(50_000))
    ranged(tab, -1, 1)
    tab.run("document.documentElement.dataset.theme = 'light'")
    told = arrived(tab, fed.sent)
    drawn = spans(picture(tab), told["panes"][0], (0x00, 0x72, 0xB2))
    assert (drawn[0] >= 0).sum() > 300
    tab.run("document.documentElement.dataset.theme = 'dark'")


def test_the_picture_in_the_docs_shows_a_chart(tab, session):
    """With ``RDAQ_SCREENSHOTS=docs/how-to`` it is taken anew."""
    feed = begun(tab, session.rig["adc1"])
    time_ = np.arange(100_000) / RATE
    noise = np.random.default_rng(7).normal(0, 0.02, 100_000)
    both = np.stack([np.floor(2 * time_) % 2 + noise, 40 + 10 * np.sin(time_) + 20 * noise], axis=1)
    both[61_234] = 1.8, 75
    feed.send(both[:40_000])
    feed.lose(4_000)
    feed.send(both[44_000:])
    arrived(tab, feed.sent)
    tab.run("rdaq.chart.point(0.62)")
    charted(tab, "told.cursor")
    box = tab.run("""(() => {
        const panel = document.getElementById('charts-panel');
        document.activeElement.blur();
        panel.scrollIntoView({block: 'end'});
        const {x, y, width, height} = panel.getBoundingClientRect();
        return {x: x + scrollX, y: y + scrollY, width, height};
    })()""")
    shot = tab.picture(**box)
    kept = DOCS / "chart.png"
    if folder := os.environ.get("RDAQ_SCREENSHOTS"):
        kept = Path(folder) / kept.name
        kept.write_bytes(shot)
    assert np.abs(np.subtract(pixels(kept.read_bytes()).shape, pixels(shot).shape)).max() <= 2
    tab.run("rdaq.chart.point(null)")
