"""Strip charts in a real browser: what is drawn is what the card sampled, and what is missing is said."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
from benchmarks._browser import PROGRAM
from charted import (
    BLUE,
    ORANGE,
    RATE,
    WHEN,
    WHITE,
    agrees,
    analog_rig,
    arrived,
    begun,
    charted,
    fresh,
    picture,
    pixels,
    ranged,
    spans,
)

from rdaq_ophyd.samples import Calibration

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
HEAP = "performance.memory.usedJSHeapSize"


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


# -- what is drawn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", [0.004, 0.05, 0.5, 3.0, 10.0])
def test_each_column_shows_lowest_and_highest_of_its_samples(tab, fed, span):
    values = np.random.default_rng(4).normal(0, 0.3, 100_000).astype("<f4")
    values[::2500] = 1.5
    fed.send(values)
    tab.run(f"rdaq.chart.setView({{span: {span}}})")
    ranged(tab, -2, 2)
    told = arrived(tab, fed.sent)
    drawn = spans(picture(tab), told["panes"][0], BLUE)
    size = 16 if told["window"]["perColumn"] * RATE > 16 else 1
    assert agrees(drawn, values.astype(float), told, -2, 2, size=size) > 0.95


def test_the_browsers_own_screenshot_shows_the_same(tab, fed):
    fed.send(np.sin(np.arange(100_000) / 5000))
    ranged(tab, -2, 2)
    told = arrived(tab, fed.sent)
    drawn = spans(picture(tab), told["panes"][0], BLUE)
    tab.run("document.getElementById('chart-stage').scrollIntoView({block: 'center'})")
    box = tab.run("document.getElementById('chart-stage').getBoundingClientRect().toJSON()")
    for _ in range(50):  # the compositor shows it a moment later
        across, down = tab.run("[scrollX, scrollY]")
        clip = {"x": box["x"] + across, "y": box["y"] + down, "width": box["width"], "height": box["height"]}
        shot = pixels(tab.picture(**clip))
        seen = spans(shot, told["panes"][0], BLUE, near=60)
        if (seen[0] >= 0).mean() > 0.9 and np.abs(seen - drawn).mean() < 2:  # it lies between two points
            return
    raise AssertionError("the page shows something else")


@pytest.mark.parametrize("span", [0.5, 10.0, 60.0, 600.0])
def test_a_spike_of_one_sample_is_seen_at_any_zoom(tab, session, span):
    feed = begun(tab, session.rig["adc0"])
    values = np.zeros(1_200_000, "<f4")  # 120 s: the first have fallen out of the ring of samples
    values[[300_007, 1_199_000]] = 1.0
    feed.send(values)
    ranged(tab, -0.5, 1.5)
    tab.run(f"rdaq.chart.setView({{span: {span}}})")
    told = arrived(tab, feed.sent)
    (pane,) = told["panes"]
    drawn = spans(picture(tab), pane, BLUE)
    top = round(1.5 / 2 * pane["height"])
    high = np.flatnonzero(drawn[1] >= top - 2)
    columns = {
        int((place / RATE - told["window"]["from"]) / told["window"]["perColumn"])
        for place in (300_007, 1_199_000)
        if place / RATE > told["window"]["from"]
    }
    assert columns <= set(high) <= {column + step for column in columns for step in (-1, 0, 1)}


def test_each_of_eight_traces_is_where_it_is_and_can_be_hidden(tab, session):
    feed = begun(tab, session.rig["adc2"])
    feed.send(np.tile(np.arange(8, dtype="<f4"), (100_000, 1)))
    tab.run("rdaq.chart.legend.hide(1, true)")  # of another unit
    ranged(tab, -1, 9)
    told = charted(tab, f"told.counts.received === {feed.sent} && told.panes.length === 1")
    colours = tab.run("import('./chart_colours.js').then((m) => m.TRACES.dark)")
    assert len(set(colours)) == 8

    def heights():
        shot = picture(tab)
        rows = [spans(shot, told["panes"][0], [int(c[n : n + 2], 16) for n in (1, 3, 5)])[:, 300] for c in colours]
        return [None if low < 0 else (low + high) / 2 / told["panes"][0]["height"] * 10 - 1 for low, high in rows]

    assert heights() == [None if trace == 1 else pytest.approx(trace, abs=0.1) for trace in range(8)]
    tab.run("document.querySelectorAll('#chart-legend input')[3].click()")
    fresh(tab)
    assert heights()[3] is None
    names = tab.run("[...document.querySelectorAll('#chart-legend label')].map((each) => each.textContent)")
    assert [name.split("(")[0].strip(" ■") for name in names] == [f"ai{n}" for n in range(8)]


def test_channels_of_different_units_have_axes_of_their_own(tab, session):
    feed = begun(tab, session.rig["adc1"])
    time_ = np.arange(50_000) / RATE
    feed.send(np.stack([np.sin(time_), 100 * np.cos(time_)], axis=1))
    told = arrived(tab, feed.sent)
    assert [each["units"] for each in told["ranges"]] == ["V", "mW"]
    shot = picture(tab)
    for trace, (pane, axis, colour) in enumerate(zip(told["panes"], told["ranges"], (BLUE, ORANGE), strict=True)):
        assert axis["low"] <= (-1, -100)[trace] * 0.99 < axis["low"] * 0.7
        values = (np.sin(time_), 100 * np.cos(time_))[trace]
        agrees(spans(shot, pane, colour), values, told, axis["low"], axis["high"], size=16, pane=trace)


def test_a_logarithmic_axis(tab, fed):
    values = 10 ** np.linspace(-3, 3, 100_000)
    fed.send(values)
    tab.run("rdaq.chart.setLog(true)")
    ranged(tab, 1e-4, 1e4)
    told = arrived(tab, fed.sent)
    drawn = spans(picture(tab), told["panes"][0], BLUE)
    agrees(drawn, np.log10(values), told, -4, 4, size=16)
    tab.run("rdaq.chart.setRange({auto: true}, 'V')")
    axis = charted(tab, "told.ranges[0].auto && told.ranges[0].low < 0.0009")["ranges"][0]
    assert (axis["low"], axis["high"]) == (pytest.approx(1e-3, rel=0.5), pytest.approx(1e3, rel=0.5))


# -- what is kept -----------------------------------------------------------------------------------------------


def test_each_sample_is_uploaded_once_also_where_rings_begin_anew(tab, session):
    feed = begun(tab, session.rig["adc2"])
    ranged(tab, -2, 2)
    feed.send(np.zeros(10_000))
    first = arrived(tab, feed.sent)["counts"]
    rng = np.random.default_rng(1)
    values = rng.uniform(-1, 1, 650_000).astype("<f4")  # the ring of samples has 524 288
    for part in np.split(values, 65):
        feed.send(part)
    tab.run("rdaq.chart.setView({span: 0.05})")
    told = arrived(tab, feed.sent)
    counts = told["counts"]
    got = counts["bytes"] - first["bytes"]
    assert got == 650_000 * 8 * 4
    # Lowest and highest of each 16 samples are 2/16 of them, those of 256 a sixteenth of that, and so on: 2/15 in all;
    # and with each picture the bins that are not finished come again.
    drawn = counts["drawn"] - first["drawn"]
    assert counts["uploaded"] - first["uploaded"] <= got * (1 + 2 / 15) + drawn * 8 * 4 * 8
    # Some parts of a ring may have been written over before they were drawn; the newest are there.
    assert counts["uploaded"] - first["uploaded"] >= 0.8 * got
    everything = np.concatenate([np.zeros(10_000, "<f4"), values]).astype(float)
    agrees(spans(picture(tab), told["panes"][0], WHITE), everything, told, -2, 2)


def test_memory_stays_as_it_is_for_minutes_of_eight_channels(browser, tab, session):
    """Kept as they come these would be 102 MiB, as JavaScript's own numbers 205 MiB."""
    feed = begun(tab, session.rig["adc2"])
    feed.send(np.zeros(400_000))
    arrived(tab, feed.sent)
    memory = tab.text("chart-memory")
    assert memory == "41 MiB"
    heap, before = tab.run(HEAP), resident(browser)
    values = np.sin(np.arange(100_000))
    tab.run("rdaq.chart.move({to: 'here'})")  # the most of them while it stands: pictures would take half a minute
    charted(tab, "!told.live")
    feed.send(np.resize(values, 3_000_000))
    charted(tab, f"told.counts.received === {feed.sent}", settle=False)
    tab.run("rdaq.chart.move({to: 'newest'})")
    feed.send(np.resize(values, 200_000))
    told = arrived(tab, feed.sent)
    assert told["counts"]["received"] == 3_600_000
    assert tab.text("chart-memory") == memory
    assert tab.run(HEAP) - heap < 8 << 20
    assert resident(browser) - before < 80 << 20  # not even what is about to be thrown away
    tab.run("rdaq.chart.setView({span: 600})")
    fresh(tab)
    drawn = spans(picture(tab), told["panes"][0], WHITE)
    assert (drawn[0] >= 0).sum() == pytest.approx(360 / 600 * told["panes"][0]["width"], abs=3)


def resident(browser):
    """Bytes of all of the browser's processes."""
    first = psutil.Process(browser.pid)
    return sum(each.memory_info().rss for each in [first, *first.children(recursive=True)])


def test_a_pause_lets_nothing_be_lost(tab, fed):
    ranged(tab, -2, 2)
    fed.send(np.full(100_000, -1.0))
    arrived(tab, fed.sent)
    tab.click("#chart-hold")
    charted(tab, "!told.live")
    before = picture(tab)
    drawn = tab.run("rdaq.chart.told.counts.drawn")
    fed.send(np.full(50_000, 1.0))
    told = charted(tab, f"told.counts.received === {fed.sent}", settle=False)
    assert told["counts"]["drawn"] == drawn
    assert told["pending"] == pytest.approx(5.0)
    assert "newer samples are kept" in tab.text("chart-state")
    np.testing.assert_array_equal(picture(tab), before)
    tab.click("#chart-hold")
    told = charted(tab, "told.live && told.pending === 0")
    values = np.concatenate([np.full(100_000, -1.0), np.full(50_000, 1.0)])
    agrees(spans(picture(tab), told["panes"][0], BLUE), values, told, -2, 2, size=16)


def test_history_is_panned_to_and_zoomed_into_and_the_newest_come_back(tab, fed):
    values = np.sin(np.arange(400_000) / 3000)
    fed.send(values)
    ranged(tab, -2, 2)
    arrived(tab, fed.sent)
    tab.run("document.getElementById('chart-around').focus()")
    tab.key("Home")
    told = charted(tab, "!told.live && told.window.from < 0.1")
    agrees(spans(picture(tab), told["panes"][0], BLUE), values, told, -2, 2, size=16)
    for key, share in (("+", 1 / 1.5), ("-", 1.0)):
        tab.key(key)
        told = charted(tab, f"Math.abs(told.span - {10 * share}) < 1e-6")
    tab.key("ArrowRight")
    told = charted(tab, "told.window.from > 0.9")
    agrees(spans(picture(tab), told["panes"][0], BLUE), values, told, -2, 2, size=16)
    tab.key("End")
    charted(tab, "told.live")
    tab.key(" ")
    charted(tab, "!told.live")
    tab.until("document.getElementById('chart-hold').textContent", lambda text: text == "Resume")
    tab.key(" ")
    tab.run("document.getElementById('chart-stage').scrollIntoView({block: 'center'})")
    box = tab.run("document.getElementById('chart-around').getBoundingClientRect().toJSON()")
    at = box["x"] + 400, box["y"] + 100
    charted(tab, "told.live")
    tab.drag(at, (at[0] + 200, at[1]))
    wanted = 40 - 10 * 200 / told["panes"][0]["width"]
    charted(tab, f"!told.live && Math.abs(told.window.to - {wanted}) < 0.05")
    tab.mouse("mouseWheel", *at, deltaX=0, deltaY=-300)
    charted(tab, "told.span < 9")
    tab.mouse("mouseWheel", *at, deltaX=0, deltaY=-300, modifiers=8)  # Shift
    charted(tab, "told.ranges[0].high - told.ranges[0].low < 3.9")


def test_the_cursor_tells_time_and_values(tab, fed):
    fed.send(np.arange(100_000) / 100)
    told = arrived(tab, fed.sent)
    tab.run("rdaq.chart.point(0.25)")
    told = charted(tab, "told.cursor")
    time_ = told["window"]["from"] + 0.25 * (told["window"]["to"] - told["window"]["from"])
    found = told["cursor"]["found"]
    assert found["time"] == pytest.approx(time_, abs=1 / RATE)
    assert found["values"][0]["low"] == found["values"][0]["high"] == pytest.approx(round(time_ * RATE) / 100)
    clock = tab.run(f"import('./chart_axes.js').then((m) => m.clockTime({WHEN} + {found['time']}, 0.01))")
    assert clock in tab.text("chart-said")
    assert str(round(found["values"][0]["low"], 2))[:4] in tab.text("chart-legend")
    tab.run("document.getElementById('chart-around').focus()")
    tab.run("rdaq.chart.gestures.point(0.5)")
    tab.key(">")
    told = charted(tab, "told.cursor?.time > 5.9")
    assert told["cursor"]["time"] == pytest.approx(told["window"]["from"] + 0.6 * told["span"])
    tab.run("rdaq.chart.point(null)")
