"""A rig's log at its clients: where it goes on after a cut, what is left out, and lines that others can read."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.client._gap import Gap
from rdaq_ophyd.client._lines import LOG_COLUMNS, LogCsv, LogJson, LogText
from rdaq_ophyd.client._log import LEVELS, LogCourse
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import messages


def line(number, text="the port is gone", level="WARNING"):
    return messages.LogLine(time=1.7e9 + number, level=level, logger="rdaq_ophyd.link", text=text, number=number)


def begun(course, instance="a", position=0, lost=0):
    course.begun({"rdaq-instance": instance, "rdaq-position": str(position), "rdaq-lost": str(lost)})


def numbers(course, *lines):
    return [found.number for each in lines for found in course.items(each)]


def told(lines, *items):
    return [text for each in items for text in lines.take(each)]


# -- the stream -----------------------------------------------------------------------------------------------


def test_it_begins_with_all_and_goes_on_behind_the_last():
    gaps = []
    course = LogCourse(on_gap=gaps.append)
    assert course.request() == messages.WatchLogRequest()
    begun(course, position=3)
    assert numbers(course, line(4), line(5)) == [4, 5]
    course.cut()
    assert course.request() == messages.WatchLogRequest(instance="a", since=5)
    begun(course, position=5)
    assert [(gap.stream, gap.lost, gap.restarted) for gap in gaps] == [("log", 0, False)]


@pytest.mark.parametrize(("instance", "lost", "said"), [("a", 7, 7), ("b", 0, None)])
def test_what_the_rig_has_no_more_is_told(instance, lost, said):
    gaps = []
    course = LogCourse(on_gap=gaps.append)
    begun(course, position=3)
    course.cut()
    begun(course, instance, position=10, lost=lost)
    assert [(gap.lost, gap.restarted) for gap in gaps] == [(said, instance == "b")]
    course.cut()
    assert (course.request().instance, course.request().since) == (instance, 10)


def test_lines_that_are_left_out_are_not_asked_for_again():
    course = LogCourse("ERROR")
    begun(course)
    assert numbers(course, line(1, level="INFO"), line(2, level="ERROR"), line(3, level="WARNING")) == [2]
    course.cut()
    assert course.request().since == 3


@given(st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_a_level_has_the_graver_ones_too(least, level):
    course = LogCourse(least)
    begun(course)
    assert bool(numbers(course, line(1, level=level))) == (LEVELS.index(level) >= LEVELS.index(least))


def test_a_level_without_a_name_is_handed_on_and_one_that_is_none_refused():
    course = LogCourse("CRITICAL")
    begun(course)
    assert numbers(course, line(1, level="Level 25")) == [1]
    for level in ("warning", "DEBUG", ""):
        with pytest.raises(LimitError, match="INFO, WARNING, ERROR, CRITICAL"):
            LogCourse(level)


# -- its lines ------------------------------------------------------------------------------------------------


def test_text_is_one_entry_a_line_and_nothing_that_a_terminal_obeys():
    (said,) = told(LogText(), line(1, "two\nlines \x1b[2J\u009b of it\r"))
    first, second = said.split("\n")
    assert first.endswith("  WARNING  rdaq_ophyd.link  two")
    assert second == "    lines \\x1b[2J\\x9b of it"
    assert "µm" in told(LogText(), line(1, "5 µm"))[0]


@given(st.text())
def test_no_text_moves_the_cursor(text):
    text = text.encode(errors="replace").decode()
    for said in told(LogText(), line(1, text)):
        assert all(character.isprintable() or character == "\n" for character in said)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=5))
def test_others_read_what_was_logged(texts):
    lines = [line(number + 1, text) for number, text in enumerate(texts)]
    rows = list(csv.DictReader(told(LogCsv(), *lines)))
    assert [(row["text"], int(row["number"])) for row in rows] == [(each.text, each.number) for each in lines]
    found = [json.loads(text) for text in told(LogJson(), *lines)]
    assert [tuple(each.values()) for each in found] == [
        tuple(getattr(each, name) for name in LOG_COLUMNS) for each in lines
    ]


def test_lines_that_came_too_fast_are_told_but_not_those_that_were_left_out():
    lines = LogText("ERROR")
    said = told(lines, line(1, level="ERROR"), line(2), line(3, level="ERROR"), line(9), line(10, level="ERROR"))
    assert [text.startswith("-- ") for text in said] == [False, False, True, False]
    assert said[2] == "-- 5 lines are missing: they came faster than they were taken"


def test_what_a_gap_has_told_is_not_told_again():
    lines = LogJson()
    told(lines, line(1))
    note = json.loads(lines.gap(Gap("log", 100.0, 101.5, 40)))
    assert (note["lost"], note["note"]) == (40, "gap: log: cut for 1.5 s, lost: 40")
    assert len(told(lines, line(42))) == 1
