"""Samples and frames as text: every sample once, what is missing where it is, and lines that others can read."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.client._frames import Frame
from rdaq_ophyd.client._gap import Gap
from rdaq_ophyd.client._lines import FrameCsv, FrameJson, FrameText, SampleCsv, SampleJson, SampleText
from rdaq_ophyd.client._samples import SampleBlock, SampleSchema
from rdaq_ophyd.client.watching import Form
from rdaq_ophyd.errors import LimitError

ROW = np.dtype([("pd", "<f4"), ("count", "<i4")])
SCHEMA = SampleSchema(1, "adc", 1000.0, ROW, {"pd": "mW", "count": ""}, {})
GAP = Gap("samples of adc", 100.0, 101.5, 40, restarted=True)


def block(first, values, *, shot=1, dropped=0, schema=SCHEMA):
    rows = np.zeros(len(values), schema.dtype)
    rows["pd"], rows["count"] = values, np.arange(first, first + len(values))
    return SampleBlock(rows, first, dropped, 1.7e9 + first / 1000.0, shot, schema)


def frame(sequence, pixels, offered=1, skipped=0):
    return Frame(np.array(pixels, "u2"), sequence, 1.7e9 + sequence, 0, 4, offered, skipped, 0.0125)


def text(lines, *items):
    told = [line for item in items for line in lines.take(item)]
    return told + list(lines.rest())


def test_statistics_of_an_interval():
    head, line = text(SampleText(), block(10, [1.0, 3.0]), block(12, [5.0, 7.0]))
    assert head == "adc: pd (mW), count at 1000 samples/s"
    assert line.endswith("number 10 + 4  pd 4 ± 2.24 (1 to 7) mW; count 11.5 ± 1.12 (10 to 13)")
    lines = SampleText()
    text(lines, block(0, [1.0]))
    assert list(lines.rest()) == [], "an interval without samples says nothing"


def test_an_interval_ends_with_a_shot_and_where_the_samples_begin_to_be_others():
    other = SampleSchema(2, "adc", 500.0, ROW, {"pd": "V", "count": ""}, {})
    told = text(SampleText(), block(0, [1.0]), block(1, [2.0], shot=2), block(2, [3.0], shot=2, schema=other))
    assert [line.split("  ")[1] for line in told if "number" in line] == [
        "number 0 + 1",
        "number 1 + 1",
        "number 2 + 1",
    ]
    assert told[-2] == "adc: pd (V), count at 500 samples/s"


def test_what_is_missing_stands_where_it_is_missing():
    lost = [
        block(0, [1.0]),
        block(11, [1.0], dropped=7),
        block(12, [1.0], dropped=7),
        block(20, [1.0], shot=2, dropped=9),
    ]
    told = [line for line in text(SampleText(), *lost) if line.startswith("--")]
    assert told == [
        "-- 10 samples are missing before number 11, 7 of them not taken in time",
        "-- 2 samples are missing before number 20, 2 of them not taken in time",
    ]
    notes = [line for line in map(json.loads, text(SampleJson(), *lost)) if "note" in line]
    assert [(note["before"], note["missing"], note["dropped"]) for note in notes] == [(11, 10, 7), (20, 2, 2)]
    assert sum(line.startswith("# ") for line in text(SampleCsv(), *lost)) == 2


def test_what_a_gap_lost_is_told_once():
    lines = SampleText()
    text(lines, block(0, [1.0]))
    assert lines.gap(GAP) == ("-- gap: samples of adc: cut for 1.5 s, lost: 40; the server was started anew")
    assert not any("missing" in line for line in text(lines, block(41, [1.0])))
    assert SampleCsv().gap(GAP).startswith("# gap: ")
    told = json.loads(FrameJson().gap(GAP))
    assert (told["since"], told["until"], told["lost"], told["restarted"]) == (100.0, 101.5, 40, True)


@given(st.lists(st.lists(st.floats(width=32), min_size=1, max_size=5), min_size=1, max_size=8))
def test_csv_has_each_sample_once_with_its_number_and_time(values):
    firsts = np.cumsum([0, *map(len, values)])
    blocks = [block(int(first), each) for first, each in zip(firsts, values, strict=False)]
    head, *rows = csv.reader("\n".join(text(SampleCsv(), *blocks)).splitlines())
    assert head == ["time (s)", "number", "pd (mW)", "count"]
    assert [int(row[1]) for row in rows] == [int(row[3]) for row in rows] == list(range(firsts[-1]))
    assert [float(row[0]) for row in rows] == pytest.approx([1.7e9 + n / 1000.0 for n in range(firsts[-1])], abs=2e-6)
    np.testing.assert_array_equal(
        np.float32([row[2] for row in rows]), np.float32([v for each in values for v in each])
    )


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_json_is_json_whatever_was_sampled(values):
    (line,) = text(SampleJson(), block(5, values))
    told = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (told["device"], told["first"], told["shot"], told["rate"]) == ("adc", 5, 1, 1000.0)
    assert told["units"] == {"pd": "mW", "count": ""}
    again = [np.float32(v) if v is not None else None for v in told["samples"]["pd"]]
    assert again == [v if np.isfinite(v) else None for v in np.float32(values)]
    assert told["samples"]["count"] == list(range(5, 5 + len(values)))


def test_of_frames_the_newest_in_each_interval():
    lines = FrameText()
    (first,) = text(lines, frame(1, [[1, 2, 3]]), frame(2, [[2, 4, 6]], offered=2))
    assert first.split("  ", 1)[1] == "frame 2  3 × 1  pixels 4 ± 1.63 (2 to 6)  12 ms old"
    (second,) = text(lines, frame(4, [[0, 0, 0]], offered=52))
    assert second.endswith(", 25 frames/s")
    assert list(lines.rest()) == []


def test_frames_as_rows_and_objects():
    rows = FrameCsv()
    head, row = text(rows, frame(3, [[1, 3]], offered=9, skipped=2))
    assert head == "time,sequence,width,height,mean,std,min,max,age,offered,skipped"
    assert row == "1700000003.0,3,2,1,2.0,1.0,1,3,0.0125,9,2"
    assert len(text(rows, frame(4, [[1, 3]]))) == 1, "the head is told once"
    (line,) = text(FrameJson(), frame(3, [[1, 3]], offered=9, skipped=2))
    assert list(json.loads(line).values()) == [1700000003.0, 3, 2, 1, 2.0, 1.0, 1, 3, 0.0125, 9, 2]


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan"), float("inf"), 4000.0])
def test_intervals_that_there_are_not(every):
    with pytest.raises(LimitError, match=r"--every .* give 0.01 to 3600 seconds"):
        Form(every=every)
