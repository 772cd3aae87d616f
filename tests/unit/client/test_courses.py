"""Where streams go on after a cut, and what they say was missed; nothing is sent here."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from framed import framed
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.client._course import RunCourse, StateCourse
from rdaq_ophyd.client._documents import DocumentCourse
from rdaq_ophyd.client._frames import FrameCourse, taken_apart
from rdaq_ophyd.document_lines import encode
from rdaq_ophyd.wire import messages


def begun(course, instance="a", position=0, lost=0):
    course.begun({"rdaq-instance": instance, "rdaq-position": str(position), "rdaq-lost": str(lost)})


def document(position, name="event", **fields):
    content = {"descriptor": "d", "data": {}, **fields}
    return messages.Document(name=name, line=encode(name, content), position=position)


def take(course, message):
    (item,) = course.items(message)
    return item


def test_documents_go_on_behind_the_last_one():
    told = []
    course = DocumentCourse(on_gap=told.append)
    assert course.request() == messages.StreamDocumentsRequest()
    begun(course, position=7)
    take(course, document(8))
    take(course, document(9))
    course.cut()
    course.cut()
    wanted = course.request()
    assert (wanted.instance, wanted.since, wanted.open_run) == ("a", 9, True)
    begun(course, position=9)
    assert [(gap.stream, gap.lost, gap.restarted) for gap in told] == [("documents", 0, False)]
    assert told == course.gaps
    assert told[0].since <= told[0].until


def test_before_any_document_came_the_position_is_that_of_the_beginning():
    course = DocumentCourse()
    begun(course, position=41)
    course.cut()
    assert course.request().since == 41


@pytest.mark.parametrize(("instance", "lost", "said"), [("a", 3, 3), ("b", 0, None)])
def test_what_is_missing_is_told(instance, lost, said):
    told = []
    course = DocumentCourse(on_gap=told.append)
    begun(course, position=7)
    course.cut()
    begun(course, instance=instance, position=2, lost=lost)
    assert [(gap.lost, gap.restarted) for gap in told] == [(said, instance == "b")]
    course.cut()
    assert (course.request().instance, course.request().since) == (instance, 2)


def test_a_run_whose_beginning_is_gone_says_so_at_once():
    told = []
    course = DocumentCourse(from_start=True, on_gap=told.append)
    assert course.request().open_run
    begun(course, position=2, lost=5)
    assert [gap.lost for gap in told] == [5]


def test_without_a_listener_gaps_are_logged(caplog):
    course = StateCourse()
    begun(course)
    course.cut()
    with caplog.at_level(logging.INFO):
        begun(course, instance="b")
    assert "the server was started anew" in caplog.text
    assert "nobody knows how many" in caplog.text


def frame(sequence, offered=1, skipped=0):
    header = messages.FrameHeader(
        sequence=sequence, width=2, height=2, dtype="<u2", scale=1, offered=offered, skipped=skipped
    )
    (come,) = taken_apart(framed(header, np.zeros((2, 2), "<u2")))
    return come


@pytest.mark.parametrize(
    ("instance", "sequence", "lost"),
    [("a", 9, 3), ("a", 6, 0), ("a", 2, None), ("a", 5, None), ("b", 9, None)],
)
def test_frames_between_are_counted_where_the_camera_still_counts(instance, sequence, lost):
    told = []
    course = FrameCourse("cam", 1, None, told.append)
    begun(course)
    assert take(course, frame(5, offered=4, skipped=1)).offered == 4
    course.cut()
    begun(course, instance=instance)
    assert told == []  # nobody can know before the next frame
    after = take(course, frame(sequence, offered=2, skipped=1))
    assert (after.offered, after.skipped) == (6, 2)
    assert [(gap.stream, gap.lost) for gap in told] == [("frames of cam", lost)]


def test_cuts_without_a_frame_between_them_are_one_gap_that_remembers_a_restart():
    told = []
    course = FrameCourse("cam", 1, None, told.append)
    begun(course)
    take(course, frame(5))
    for instance in ("b", "b"):
        course.cut()
        begun(course, instance=instance)
    take(course, frame(9))
    assert [(gap.lost, gap.restarted) for gap in told] == [(None, True)]


def test_a_plan_is_begun_once_and_then_followed():
    told = []
    course = RunCourse(messages.RunPlanRequest(name="scan"), told.append)
    assert not course.may_reopen  # it may have been taken: never a second time
    assert isinstance(course.request(), messages.RunPlanRequest)
    begun(course)
    What = messages.RunEvent.What
    for event in (
        messages.RunEvent(what=What.BEGUN, id="p", number=1),
        messages.RunEvent(what=What.PROGRESS),
        messages.RunEvent(what=What.RUN, number=2),
    ):
        assert take(course, event) is event
    assert course.may_reopen
    assert (course.call, course.request()) == ("FollowPlan", messages.FollowPlanRequest(id="p", since=2))
    course.cut()
    begun(course)
    assert [(gap.stream, gap.lost) for gap in told] == [("scan", 0)]


ARRAYS = st.sampled_from(
    [
        np.arange(6.0).reshape(2, 3),
        np.array([np.nan, 1.5]),
        np.array([], "<f4"),
        np.array([1, 2], "<u2"),
        np.eye(2, dtype=bool),
    ]
)


@given(ARRAYS)
def test_arrays_are_arrays_again(array):
    course = DocumentCourse()
    begun(course)
    key = {"dtype": "array", "shape": list(array.shape), "source": "", "dtype_numpy": array.dtype.str}
    descriptor = {"uid": "d", "run_start": "r", "name": "primary", "data_keys": {"a": key, "f": {"dtype": "number"}}}
    take(course, messages.Document(name="descriptor", line=encode("descriptor", descriptor)))
    _, event = take(course, document(2, data={"a": array, "f": float("nan")}, seq_num=1))
    assert event["data"]["a"].dtype == array.dtype
    np.testing.assert_array_equal(event["data"]["a"], array)
    assert event["data"]["f"] != event["data"]["f"]
    _, page = take(course, document(3, "event_page", data={"a": [array, array], "f": [1.0, 2.0]}, seq_num=[2, 3]))
    np.testing.assert_array_equal(page["data"]["a"], [array, array])
    stop = messages.Document(name="stop", line=encode("stop", {"run_start": "r"}))
    take(course, stop)
    assert not course._arrays._keys


def test_records_and_arrays_without_a_type():
    course = DocumentCourse()
    begun(course)
    keys = {
        "pairs": {"dtype": "array", "shape": [1], "dtype_numpy": [["at", "<f8"], ["n", "<i4"]]},
        "plain": {"dtype": "array", "shape": [2]},
        "frames": {"dtype": "array", "shape": [9, 9], "external": "STREAM:"},
    }
    descriptor = {"uid": "d", "run_start": "r", "name": "primary", "data_keys": keys}
    take(course, messages.Document(name="descriptor", line=encode("descriptor", descriptor)))
    _, event = take(course, document(2, data={"pairs": [[0.5, 3]], "plain": [1, 2]}))
    assert event["data"]["pairs"]["n"][0] == 3
    np.testing.assert_array_equal(event["data"]["plain"], [1, 2])


def test_an_event_whose_descriptor_was_missed_stays_as_it_is():
    course = DocumentCourse()
    begun(course)
    _, event = take(course, document(2, data={"a": [1, 2]}))
    assert event["data"]["a"] == [1, 2]
