"""Closing runs of a device that was staged again in mid-run: it has a second file, and the first one stays as told."""

import pytest
from recorders import NUMBER, STREAM, Recorder, documents, frames_file, told

from rdaq_ophyd.catalog import data_layout


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path).prepare()


def staged_twice(layout, data_keys, rows):
    """A run whose device was staged again: files of so many rows, 5 of the first are told of."""
    recorder = Recorder(layout, data_keys, frames_file(layout, rows[0], "first.h5"))
    for point in range(5):
        for key in recorder.external:
            recorder.rows(key, point, point + 1)
        if "x" in data_keys:
            recorder.event(point)
    recorder.stage(frames_file(layout, rows[1], "second.h5"), before=5)
    return recorder


def claims(layout, recorder):
    """Rows of each file in turn that the closed run tells of, and its events; every event has its row once."""
    told(layout)
    found = documents(layout, recorder.uid)
    numbers = {key: [] for key in recorder.external}
    resources = {d["uid"]: d["data_key"] for n, d in found if n == "stream_resource"}
    rows = dict.fromkeys(resources, 0)
    for name, document in found:
        if name == "stream_datum":
            uid = document["stream_resource"]
            numbers[resources[uid]] += range(document["seq_nums"]["start"], document["seq_nums"]["stop"])
            rows[uid] = document["indices"]["stop"]
    events = found[-1][1]["num_events"]["primary"]
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values()), numbers
    assert {len(each) for each in numbers.values()} == {events}
    return list(rows.values()), events


def test_the_first_file_of_a_device_that_was_staged_twice_stays_whole(layout):
    recorder = staged_twice(layout, {"a": STREAM, "b": STREAM}, (5, 4))
    recorder.rows("a", 0, 3)
    recorder.rows("b", 0, 2)
    recorder.die()
    assert claims(layout, recorder) == ([5, 5, 3, 3], 8)


def test_rows_of_the_first_file_that_no_event_took_stay_untold(layout):
    recorder = staged_twice(layout, {"x": NUMBER, "a": STREAM}, (6, 3))
    for point in range(2):
        recorder.rows("a", point, point + 1)
        recorder.event(5 + point)
    recorder.rows("a", 2, 3)
    recorder.die()
    assert claims(layout, recorder) == ([5, 2], 7)


@pytest.mark.parametrize("x", [{}, {"x": NUMBER}])
def test_a_second_file_that_nobody_was_told_rows_of(layout, x):
    recorder = staged_twice(layout, {**x, "a": STREAM}, (5, 2))
    recorder.die()
    assert claims(layout, recorder) == ([5, 0], 5)


def test_a_second_file_that_lost_rows_does_not_shorten_the_first(layout):
    recorder = staged_twice(layout, {"a": STREAM, "b": STREAM}, (5, 2))
    for key in "ab":
        recorder.rows(key, 0, 4)
    recorder.die()
    assert claims(layout, recorder) == ([5, 5, 2, 2], 7)


def test_a_key_without_a_datum_of_the_second_file_goes_on_behind_the_first(layout):
    recorder = staged_twice(layout, {"a": STREAM, "b": STREAM}, (5, 3))
    recorder.rows("a", 0, 3)
    recorder.die()
    assert claims(layout, recorder) == ([5, 5, 3, 3], 8)
