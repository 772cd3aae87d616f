"""Parts of a chart by themselves, in the browser: ticks, ranges, what part of the history is shown, and a lost GPU."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from benchmarks._browser import PROGRAM
from charted import analog_rig
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
MOST = settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with analog_rig(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture(scope="module")
def tab(page):
    return page


def call(tab, module, name, *arguments):
    """What a function of a module of the page gives."""
    return tab.run(f"import('./{module}.js').then((m) => m.{name}({', '.join(map(json.dumps, arguments))}))")


def test_without_anything_to_chart_it_says_so(tab):
    tab.until("document.getElementById('chart-none').textContent", lambda said: "choose a source" in said)
    assert tab.run("document.getElementById('chart-source').options.length") == 1


# -- axes -----------------------------------------------------------------------------------------------------


@MOST
@given(begin=st.floats(1e9, 2e9), length=st.floats(1e-3, 1e7), wanted=st.integers(2, 12))
def test_ticks_of_the_clock_are_at_round_times_and_neither_too_many_nor_none(tab, begin, length, wanted):
    found = call(tab, "chart_axes", "clockTicks", begin, begin + length, wanted)
    assert all(begin - 1e-6 <= each <= begin + length + 1e-6 for each in found)
    assert len(found) <= wanted + 2
    if len(found) > 1:
        steps = np.diff(found)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-2, atol=1e-6)
        assert steps[0] < 1 or steps[0] in (1, 2, 5, 10, 15, 30) or steps[0] % 60 == 0
        assert length / steps[0] >= len(found) - 1.01
        if 1 <= steps[0] < 86400:  # at round times of the day here
            midnight = tab.run(f"new Date({found[0]} * 1000).setHours(0, 0, 0, 0) / 1000")
            offset = (found[0] - midnight) % steps[0]
            assert min(offset, steps[0] - offset) < 1e-3


@MOST
@given(low=st.floats(1e-12, 1e6), decades=st.floats(0.05, 12))
def test_ticks_of_a_logarithmic_axis_lie_on_it(tab, low, decades):
    high = low * 10**decades
    found = call(tab, "chart_axes", "logTicks", low, high)
    assert all(low * 0.999 <= each <= high * 1.001 for each in found)
    if decades >= 2:
        assert all(math.log10(each) == pytest.approx(round(math.log10(each)), abs=1e-9) for each in found)
    assert len(found) >= min(1, int(decades))


@pytest.mark.parametrize(("step", "said"), [(1, "05"), (0.1, "05.3"), (0.001, "05.250"), (5e-6, "05.250000")])
def test_times_are_told_as_exactly_as_ticks_lie(tab, step, said):
    assert call(tab, "chart_axes", "clockTime", 1_700_000_005.25 - 1.7e9 % 60, step).endswith(":" + said)


# -- what is shown --------------------------------------------------------------------------------------------

AXES = """(async (extremes, log) => {
  const { ChartView } = await import('./chart_view.js');
  const view = new ChartView();
  view.log = log;
  return extremes.map((found) => view.axis({units: 'V', traces: [0]}, {extremes: () => found}, {from: 0, to: 1}));
})"""
SIZES = st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6))
RANGES = SIZES.map(lambda both: {"low": both[0], "high": both[0] + both[1]})


@MOST
@given(found=st.lists(RANGES, min_size=1, max_size=6))
def test_an_automatic_axis_has_all_values_and_is_not_much_larger(tab, found):
    for each, axis in zip(found, tab.run(f"{AXES}({json.dumps(found)}, false)"), strict=True):
        assert axis["low"] <= each["low"] <= each["high"] <= axis["high"]
        size = each["high"] - each["low"]
        if size > 1e-6 * abs(each["low"]):
            assert size >= 0.3 * (axis["high"] - axis["low"])


@MOST
@given(found=st.lists(st.tuples(st.floats(1e-9, 1e6), st.floats(1, 1e9)), min_size=1, max_size=6))
def test_a_logarithmic_axis_has_all_values_or_its_six_decades(tab, found):
    ranges = [{"low": low, "high": low * factor} for low, factor in found]
    for each, axis in zip(ranges, tab.run(f"{AXES}({json.dumps(ranges)}, true)"), strict=True):
        assert 0 < axis["low"] < axis["high"]
        assert axis["low"] <= max(each["low"], each["high"] / 1e6)
        assert axis["high"] >= each["high"]


def test_an_axis_stands_still_while_its_values_fill_it_and_follows_them_otherwise(tab):
    found = [[-1, 1], [-0.9, 1], [-0.6, 0.6], [-0.1, 0.1], [-0.1, 5], None, [3, 3], [3, 3]]
    ranges = [each and {"low": each[0], "high": each[1]} for each in found]
    axes = [(each["low"], each["high"]) for each in tab.run(f"{AXES}({json.dumps(ranges)}, false)")]
    assert axes[0] == axes[1] == axes[2]
    assert axes[3][1] < 0.3
    assert axes[4][1] >= 5
    assert axes[5] == axes[4]
    assert axes[6] == axes[7] != axes[5]


MOVES = """(async (moves, begin, end) => {
  const { ChartView } = await import('./chart_view.js');
  const view = new ChartView();
  const timeline = {begin, end, schema: {rate: 1000}};
  return moves.map(([what, value, share]) => {
    const pointed = () => (view.live ? null : view.end - view.span + share * view.span);
    const before = pointed();
    if (what === 'zoom') view.zoom(value, share, timeline);
    else if (what === 'pan') view.pan(value, timeline);
    else if (what === 'hold') view.hold(timeline);
    else view.follow();
    const { from, to, perColumn } = view.window(timeline, 700);
    return {live: view.live, span: view.span, from, to, perColumn, before, after: pointed()};
  });
})"""
SHARES = st.floats(0, 1)
A_MOVE = st.one_of(
    st.tuples(st.just("zoom"), st.floats(0.01, 100), SHARES),
    st.tuples(st.just("pan"), st.floats(-50, 50), SHARES),
    st.tuples(st.sampled_from(["hold", "follow"]), st.just(0), SHARES),
)


@MOST
@given(moves=st.lists(A_MOVE, min_size=1, max_size=10), begin=st.floats(0, 1000), length=st.floats(0.1, 1e5))
def test_wherever_one_goes_there_is_something_to_see(tab, moves, begin, length):
    end = begin + length
    for at, (what, _, _) in zip(tab.run(f"{MOVES}({json.dumps(moves)}, {begin}, {end})"), moves, strict=True):
        assert 0.008 <= at["span"] <= 30 * 86400
        assert at["to"] - at["from"] == pytest.approx(at["span"], rel=1e-6)
        assert at["from"] < end + at["perColumn"]
        assert at["to"] > begin - 2 * at["perColumn"]
        assert at["to"] <= end + 2 * at["perColumn"]
        assert at["live"] == (what == "follow" or (at["live"] and what == "zoom"))
        if at["live"]:
            assert at["to"] >= end


def test_what_is_under_the_pointer_stays_there(tab):
    moves = [["hold", 0, 0.3], ["pan", -3, 0.3], ["zoom", 0.5, 0.3], ["zoom", 0.2, 0.3], ["zoom", 4, 0.3]]
    for at in tab.run(f"{MOVES}({json.dumps(moves)}, 0, 1000)")[2:]:
        assert at["after"] == pytest.approx(at["before"])


# -- the GPU --------------------------------------------------------------------------------------------------

FORGETFUL = """(async () => {
  const { ChartGL } = await import('./chart_gl.js');
  const { Timeline } = await import('./chart_timeline.js');
  const canvas = new OffscreenCanvas(200, 100);
  let restored;
  const again = new Promise((resolve) => (restored = resolve));
  const gl = new ChartGL(canvas, restored);
  const timeline = new Timeline({rate: 100, columns: [{dtype: '<f4', units: 'V'}]}, 8);
  gl.use(timeline);
  timeline.take({first: 0, shot: 0, time: 0}, [Float64Array.from({length: 1000}, (_, index) => Math.sin(index / 30))]);
  const shown = () => {
    gl.clear();
    gl.upload();
    const pane = {left: 0, bottom: 0, width: 200, height: 100};
    gl.draw(pane, {from: 0, perColumn: 0.05}, {low: -2, high: 2}, [{trace: 0, colour: [1, 1, 1]}], 1);
    const pixels = new Uint8Array(200 * 100 * 4);
    gl.gl.readPixels(0, 0, 200, 100, gl.gl.RGBA, gl.gl.UNSIGNED_BYTE, pixels);
    return pixels;
  };
  const before = shown();
  const uploaded = gl.uploaded;
  shown();
  const same = gl.uploaded;
  const loser = gl.gl.getExtension('WEBGL_lose_context');
  const lost = new Promise((resolve) => canvas.addEventListener('webglcontextlost', resolve));
  loser.loseContext();
  await lost;
  shown(); // draws nothing, and fails not
  await new Promise((resolve) => setTimeout(resolve));
  loser.restoreContext();
  await again;
  const after = shown();
  return {
    drawn: before.filter((value) => value).length, equal: after.every((value, place) => value === before[place]),
    uploaded, same, twice: gl.uploaded,
  };
})()"""


def test_a_gpu_that_forgot_everything_gets_it_again(tab):
    found = tab.run(FORGETFUL)
    assert found["drawn"] > 200 * 4
    assert found["equal"]
    assert found["same"] == found["uploaded"] + unfinished(1000)
    assert found["twice"] == found["same"] + found["uploaded"]


def unfinished(samples):
    """Bytes of the bins that hold them and are not full: these come again with each picture."""
    return 8 * sum(samples % 16**level != 0 for level in range(1, 5))
