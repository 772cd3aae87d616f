"""What a chart keeps, in the browser's own JavaScript: no value is lost between the levels, each is uploaded once."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from benchmarks._browser import PROGRAM
from charted import analog_rig
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.wire import messages, sample_bytes

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
FACTOR, LEVELS = 16, 5
ROOM = [256, 64, 64, 64, 64]
"""Of each level: so little that rings are full soon."""
MOST = settings(deadline=None, max_examples=60)
# A whole history at a time: what is asked of it is answered in one go.
HISTORY = """(async (steps, asked, room) => {
  const { Pyramid } = await import('./chart_pyramid.js');
  const pyramid = new Pyramid([false, true], room);
  const segments = [pyramid.begin()];
  for (const [what, value] of steps) {
    if (what === 'begin') segments.push(pyramid.begin());
    else if (what === 'skip') pyramid.skip(value);
    else pyramid.append(value.map((column) => Float64Array.from(column, (each) => each ?? NaN)));
  }
  const kept = segments.map((segment) => pyramid.segments.includes(segment));
  return asked.map(([which, trace, from, to]) =>
    kept[which] ? pyramid.extremes(trace, segments[which], from, to) : null);
})"""


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with analog_rig(tmp_path_factory.mktemp("data"), 1) as made:
        yield made


@pytest.fixture(scope="module")
def tab(page):
    return page


def call(tab, function, *arguments):
    """What a function of the page gives, as JSON."""
    return tab.run(f"{function}({', '.join(map(json.dumps, arguments))})")


# -- pyramid --------------------------------------------------------------------------------------------------

VALUES = st.floats(-1e6, 1e6, width=32) | st.none()
BLOCKS = st.lists(VALUES, min_size=1, max_size=40)
STEPS = st.lists(
    BLOCKS.map(lambda column: ["append", [column, column[::-1]]])
    | st.integers(1, 700).map(lambda count: ["skip", count])
    | st.integers(1, 600).map(lambda count: ["append", [list(range(count)), [0] * count]])
    | st.just(["begin", 0]),
    max_size=12,
)


def histories(steps):
    """Each segment's samples of both traces, shape (2, n), NaN for none."""
    found = [np.empty((2, 0))]
    for what, value in steps:
        if what == "begin":
            found.append(np.empty((2, 0)))
        else:
            new = np.full((2, value), np.nan) if what == "skip" else np.array(value, float)
            found[-1] = np.concatenate([found[-1], new], axis=1)
    return found


def remembered(whole, which, room):
    """From which sample on each level still has a segment."""
    ends = np.zeros(LEVELS, int)
    starts = []
    for segment in whole:
        starts.append(ends.copy())
        ends += [-(-segment.shape[1] // FACTOR**level) for level in range(LEVELS)]
    return [max(0, ends[k] - room[k] - starts[which][k]) * FACTOR**k for k in range(LEVELS)]


def extremes(values):
    values = values[~np.isnan(values)]
    return {"low": values.min(), "high": values.max()} if len(values) else None


@MOST
@given(steps=STEPS, data=st.data())
def test_extremes_are_those_of_the_samples_whatever_level_they_come_from(tab, steps, data):
    whole = histories(steps)
    asked = []
    for which, segment in enumerate(whole):
        places = st.integers(0, segment.shape[1])
        asked += [[which, trace, *sorted(data.draw(st.tuples(places, places)))] for trace in (0, 1)]
    answers = call(tab, HISTORY, steps, asked, ROOM)
    for (which, trace, first, end), answer in zip(asked, answers, strict=True):
        values, fresh = whole[which][trace], remembered(whole, which, ROOM)
        exact = extremes(values[first:end])
        if first >= fresh[0]:
            assert same(answer, exact)
        elif exact is not None and first >= min(fresh):
            # The samples are gone: the bins that hold them tell of no less, and of nothing else than themselves.
            level = next(k for k in range(LEVELS) if first >= fresh[k])
            size = FACTOR**level
            around = extremes(values[first // size * size : -(-end // size) * size])
            assert answer["low"] <= exact["low"] + 1
            assert answer["high"] >= exact["high"] - 1
            assert around["low"] - 1 <= answer["low"]
            assert answer["high"] <= around["high"] + 1


def same(answer, exact):
    """What is kept as a difference has the precision of 32 bits of what it differs."""
    if answer is None or exact is None:
        return answer is exact
    return all(answer[end] == pytest.approx(exact[end], abs=0.5) for end in ("low", "high"))


SPIKE = """(async (number, place, room) => {
  const { Pyramid, LEVELS, FACTOR } = await import('./chart_pyramid.js');
  const pyramid = new Pyramid([false], room ?? undefined);
  const segment = pyramid.begin();
  const values = new Float64Array(number);
  values[place] = 1;
  for (let at = 0; at < number; at += 1000) pyramid.append([values.subarray(at, Math.min(number, at + 1000))]);
  const seen = [];
  for (let level = 0; level < LEVELS; level++) {
    const length = Math.ceil(number / FACTOR ** level);
    const bins = Array.from({length}, (_, bin) => pyramid.bin(0, segment, level, bin));
    seen.push([bins.filter((bin) => bin?.high === 1).length, bins.findIndex((bin) => bin?.high === 1)]);
  }
  return [seen, pyramid.bytes];
})"""


@settings(deadline=None, max_examples=15)
@given(data=st.data(), number=st.integers(1, 200_000))
def test_a_spike_of_one_sample_is_in_just_one_bin_of_each_level(tab, data, number):
    place = data.draw(st.integers(0, number - 1))
    seen, _ = call(tab, SPIKE, number, place)
    assert seen == [[1, place // FACTOR**level] for level in range(LEVELS)]


def test_memory_is_what_it_was_however_many_samples_come(tab):
    _, few = call(tab, SPIKE, 10, 5)
    seen, many = call(tab, SPIKE, 2_000_000, 3)
    assert few == many == 4 * ((1 << 19) + 2 * (3 * (1 << 17) + (1 << 14)))
    assert seen[0] == [0, -1]  # the sample itself has fallen out of its ring
    assert seen[1:] == [[1, 0]] * 4 or seen[2:] == [[1, 0]] * 3


ROOMS = """(async (traces) => {
  const { rooms, Pyramid } = await import('./chart_pyramid.js');
  return [rooms(traces), new Pyramid(Array(traces).fill(false)).bytes];
})"""


@pytest.mark.parametrize("traces", [1, 2, 3, 8, 9, 31, 32])
def test_all_histories_are_bounded_and_fit_into_textures(tab, traces):
    rooms, size = call(tab, ROOMS, traces)
    assert size <= 41 << 20
    for level, room in enumerate(rooms):
        assert room & (room - 1) == 0
        assert room * FACTOR**level >= rooms[0]
        assert -(-room // 2048) * traces <= 2048  # rows of a texture
    if traces == 8:  # 52 s of 10 kHz themselves, an hour to 26 ms, 15 h to 0.4 s
        assert [round(room * FACTOR**level / 10_000) for level, room in enumerate(rooms)] == [
            52,
            210,
            3355,
            53687,
            107374,
        ]


FETCH = """(async (steps, room) => {
  const { Pyramid, FACTOR, LEVELS } = await import('./chart_pyramid.js');
  const pyramid = new Pyramid([false], room);
  pyramid.begin();
  const gpu = pyramid.levels.map(({ values }) => new Float32Array(values.length).fill(NaN));
  let [number, fetched] = [0, 0];
  for (const step of steps) {
    if (step === 'begin') pyramid.begin();
    else {
      pyramid.append([Float64Array.from({length: step}, (_, index) => number + index)]);
      number += step;
    }
    pyramid.levels.forEach((level, which) => {
      for (const [first, end] of pyramid.fetch(which)) {
        gpu[which].set(level.values.subarray(first * level.parts, end * level.parts), first * level.parts);
        fetched += end - first;
      }
    });
  }
  // What has never been written is still empty on both sides.
  const same = pyramid.levels.every(({ values, end, room, parts }, which) =>
    values.slice(0, Math.min(end, room) * parts).every((value, place) => value === gpu[which][place]));
  return [same, fetched, number];
})"""


@MOST
@given(steps=st.lists(st.integers(1, 400) | st.just("begin"), min_size=1, max_size=12))
def test_the_gpu_has_what_the_rings_have_and_got_each_entry_once(tab, steps):
    same, fetched, number = call(tab, FETCH, steps, ROOM)
    assert same
    assert fetched <= number * (1 + 1 / 15) + 2 * LEVELS * len(steps)


# -- timeline -------------------------------------------------------------------------------------------------

TIMELINE = """(async (blocks, loose) => {
  const { Timeline } = await import('./chart_timeline.js');
  const timeline = new Timeline({rate: 100, columns: [{dtype: '<f4', units: 'V'}]}, 8, {loose});
  for (const block of blocks) {
    if (block === 'cut') { timeline.lost(); continue; }
    timeline.take(block, [Float64Array.from({length: block.count}, (_, index) => block.first + index)]);
  }
  return {
    counts: timeline.counts, end: timeline.end, origin: timeline.origin, begin: timeline.begin,
    segments: timeline.segments.map(({count, time}) => [count, time]),
    gaps: timeline.gapsBetween(-1e9, 1e9),
    values: blocks.filter((each) => each !== 'cut').map(({time}) => timeline.at(time - timeline.origin)?.values[0]),
  };
})"""


def block(first, count=50, *, shot=0, time=None, dropped=0):
    time = 1000.0 + first / 100 if time is None else time
    return {"first": first, "count": count, "shot": shot, "time": time, "dropped": dropped}


def test_samples_that_follow_one_another_are_one_line(tab):
    found = call(tab, TIMELINE, [block(0), block(50), block(100)], False)
    assert (found["segments"], found["gaps"], found["origin"]) == ([[150, 0]], [], 1000)
    assert found["end"] == pytest.approx(1.49)


def test_what_is_missing_is_a_gap_as_long_as_it_was_and_is_counted(tab):
    found = call(tab, TIMELINE, [block(0), block(80, dropped=20)], False)
    assert found["segments"] == [[130, 0]]
    (gap,) = found["gaps"]
    assert (gap["missing"], gap["dropped"], gap["cut"]) == (30, 20, False)
    assert (gap["from"], gap["to"]) == (pytest.approx(0.49), pytest.approx(0.8))
    assert found["counts"] == {"received": 100, "dropped": 20, "missing": 30, "gaps": 1, "restarts": 0}


def test_after_a_long_time_without_samples_none_of_it_is_kept(tab):
    found = call(tab, TIMELINE, [block(0), block(50_050)], False)
    assert [count for count, _ in found["segments"]] == [50, 50]
    assert found["segments"][1][1] == pytest.approx(500.5)
    assert found["counts"]["missing"] == 50_000


def test_another_shot_begins_when_it_begins_and_its_line_is_another(tab):
    found = call(tab, TIMELINE, [block(0), block(50, shot=1, time=1002.0)], False)
    assert found["segments"] == [[250, 0]]
    assert found["values"] == [{"low": 0, "high": 0}, {"low": 50, "high": 50}]
    assert found["gaps"] == []
    at_once = call(tab, TIMELINE, [block(0), block(50, shot=1)], False)
    assert at_once["segments"] == [[101, 0]]  # a sample apart, so that no line joins them


def test_a_broken_connection_is_a_gap_whatever_came_meanwhile(tab):
    found = call(tab, TIMELINE, [block(0), "cut", block(50), "cut", block(180)], False)
    assert [(gap["cut"], gap["missing"]) for gap in found["gaps"]] == [(True, 0), (True, 80)]


def test_a_source_that_counts_anew_has_begun_anew(tab):
    found = call(tab, TIMELINE, [block(500), block(0, time=1010.0)], False)
    assert [count for count, _ in found["segments"]] == [50, 50]
    assert (found["gaps"][0]["restarted"], found["counts"]["restarts"], found["counts"]["missing"]) == (True, 1, 0)


def test_readings_that_come_a_little_late_are_one_line(tab):
    readings = [block(n, 1, shot=n, time=1000 + n / 100 + (n % 3) * 0.003) for n in range(20)]
    found = call(tab, TIMELINE, readings, True)
    assert found["segments"] == [[20, 0]]
    late = [*readings, block(20, 1, shot=20, time=1000.6)]
    found = call(tab, TIMELINE, late, True)
    assert found["segments"][0][0] == 61
    assert found["counts"]["gaps"] == 1


@MOST
@given(
    steps=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 900), st.booleans()), min_size=1, max_size=10),
)
def test_every_sample_is_found_at_its_time_and_every_one_is_accounted_for(tab, steps):
    blocks, first, shot, time = [], 7, 0, 5e8
    for count, lost, another in steps:
        first, time = first + lost, time + lost / 100
        if another:
            shot, time = shot + 1, time + 1.0
        blocks.append(block(first, count, shot=shot, time=time))
        first, time = first + count, time + count / 100
    found = call(tab, TIMELINE, blocks, False)
    assert [each["low"] for each in found["values"]] == [each["first"] for each in blocks]
    counts = found["counts"]
    assert counts["received"] + counts["missing"] == first - blocks[0]["first"]
    assert found["end"] == pytest.approx(time - blocks[0]["time"] - 0.01, abs=0.02)


# -- wire -----------------------------------------------------------------------------------------------------

DECODE = """(async (text) => {
  const { columnsOf, decodeBlock } = await import('./samples.js');
  const { buffer } = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  try {
    const block = decodeBlock(buffer);
    const columns = columnsOf(buffer, block, block.schema, 99).map((column) => [...column].map(String));
    const { rate, row } = block.schema;
    const names = block.schema.columns.map(({name, units}) => [name, units]);
    return {header: block.header, rate, row, names, columns};
  } catch (error) {
    return {error: error.message};
  }
})"""
DTYPES = ["<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"]


def decoded(tab, message):
    return call(tab, DECODE, base64.b64encode(message).decode())


@MOST
@given(
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=1, max_size=6),
    count=st.integers(0, 30),
    numbers=st.tuples(st.integers(0, 2**52), st.integers(0, 2**40), st.integers(0, 2**31), st.floats(0, 2e9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_blocks_are_read_as_they_were_written(tab, dtypes, count, numbers, seed):
    first, dropped, shot, time = numbers
    dtype = np.dtype([(f"c{n}", each) for n, each in enumerate(dtypes)])
    rows = np.frombuffer(np.random.default_rng(seed).bytes(count * dtype.itemsize), dtype)
    columns = [messages.SampleColumn(name=f"c{n}", dtype=each, units="µV") for n, each in enumerate(dtypes)]
    schema = messages.SampleSchema(schema_id=3, device="adc", rate=1e4, columns=columns)
    head = messages.SampleBlock(schema_id=3, first_seq=first, dropped=dropped, shot=shot, time=time, schema=schema)
    found = decoded(tab, sample_bytes(head, [rows] if count else []))
    assert found["header"] == {"schema_id": 3, "first_seq": first, "dropped": dropped, "time": time, "shot": shot}
    assert (found["rate"], found["row"]) == (1e4, dtype.itemsize)
    assert found["names"] == [[f"c{n}", "µV"] for n in range(len(dtypes))]
    for name, column in zip(dtype.names, found["columns"], strict=True):
        with np.errstate(invalid="ignore"):  # of random bytes some are NaN of a kind that NumPy complains of
            np.testing.assert_array_equal(np.array(column, float), rows[name].astype(float))


@pytest.mark.parametrize(
    ("columns", "rows", "said"),
    [
        ([("a", "<c8")], b"", "cannot be shown"),
        ([("a", "<f4")], b"123", "cut within a row"),
        ([], b"", "not said"),
    ],
)
def test_what_is_no_block_of_samples_is_refused(tab, columns, rows, said):
    made = [messages.SampleColumn(name=name, dtype=dtype) for name, dtype in columns]
    schema = messages.SampleSchema(schema_id=1, rate=1.0, columns=made)
    block = messages.SampleBlock(schema_id=1, schema=schema)
    message = sample_bytes(block, [np.frombuffer(rows, "u1")] if rows else [])
    assert said in decoded(tab, message)["error"]


@MOST
@given(garbage=st.binary(max_size=60))
def test_garbage_is_refused_in_words(tab, garbage):
    assert "error" in decoded(tab, garbage)
