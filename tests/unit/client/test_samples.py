"""Samples of one stream over several calls: what they are, and what is said to be missing; nothing is sent here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.client._samples import Calibration, SampleCourse, SampleDecoder
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import messages, sample_bytes

ROW = np.dtype([("pd", "<f4"), ("chopper", "<f4")])


def schema(number=1, rate=100.0):
    calibration = messages.SampleCalibration(scale=2.0, offset=-1.0, measured_units="V")
    columns = [
        messages.SampleColumn(name="pd", dtype="<f4", units="mW", calibration=calibration),
        messages.SampleColumn(name="chopper", dtype="<f4", units="V"),
    ]
    return messages.SampleSchema(schema_id=number, device="adc", rate=rate, columns=columns)


def samples(first, count=10, *, number=1, described=None, **more):
    rows = np.zeros(count, ROW)
    rows["pd"], rows["chopper"] = np.arange(first, first + count), -np.arange(first, first + count)
    head = messages.SampleBlock(schema_id=number, first_seq=first, schema=described, **more)
    return sample_bytes(head, [rows])


def said(number=1, **more):
    """The first message of a call: what the samples are."""
    return sample_bytes(messages.SampleBlock(schema_id=number, schema=schema(number, **more)))


def begun(course, instance="a"):
    course.begun({"rdaq-instance": instance, "rdaq-position": "0", "rdaq-lost": "0"})


def take(course, message):
    (block,) = course.items(message)
    return block


@pytest.fixture
def told():
    return []


@pytest.fixture
def course(told):
    """In its first call, which has given samples 0 to 9 of shot 4."""
    made = SampleCourse("adc", 0.005, told.append)
    begun(made)
    take(made, said())
    take(made, samples(0, shot=4, dropped=2))
    return made


def again(course, instance="a"):
    course.cut()
    begun(course, instance)


def gaps(told):
    return [(gap.stream, gap.lost, gap.restarted) for gap in told]


def test_what_the_samples_are_is_known_before_the_first_one():
    course = SampleCourse("adc", 0.02)
    assert course.request() == messages.StreamSamplesRequest(name="adc", flush=0.02)
    assert course.schema is None
    begun(course)
    assert len(take(course, said())) == 0
    known = course.schema
    assert (known.device, known.rate, known.channels) == ("adc", 100.0, ("pd", "chopper"))
    assert known.units == {"pd": "mW", "chopper": "V"}
    assert known.calibrations == {"pd": Calibration(2.0, -1.0, "V")}
    block = take(course, samples(7, time=1000.0, shot=3))
    assert block.schema is known
    np.testing.assert_array_equal(block["pd"], np.arange(7, 17))
    np.testing.assert_array_equal(block.values, [np.arange(7, 17), -np.arange(7, 17)])
    np.testing.assert_allclose(block.times, 1000.0 + np.arange(10) / 100, rtol=0, atol=1e-9)


def test_a_new_schema_comes_with_its_first_samples(course):
    before = course.schema
    block = take(course, samples(10, number=2, described=schema(2, rate=50.0), shot=5))
    assert block.schema is course.schema is not before
    assert block.schema.rate == 50.0
    assert np.diff(block.times)[0] == pytest.approx(0.02)


def test_samples_of_an_unknown_schema_are_refused(course):
    with pytest.raises(LimitError, match="samples of schema 2, which is not known → call anew"):
        take(course, samples(10, number=2, shot=4))
    with pytest.raises(LimitError, match="schema 1"):
        SampleDecoder().decode(samples(0))
    again(course)
    assert course.schema is None  # of the call that was cut
    with pytest.raises(LimitError, match="schema 1"):
        take(course, samples(10, shot=4))


@pytest.mark.parametrize(("first", "lost"), [(10, 0), (35, 25)])
def test_what_a_cut_missed_of_a_shot_is_counted_by_the_card(course, told, first, lost):
    again(course)
    take(course, said())
    assert told == []  # nobody can know before the next sample
    take(course, samples(first, shot=4))
    take(course, samples(first + 10, shot=4))
    assert gaps(told) == [("samples of adc", lost, False)]
    assert told == course.gaps
    assert told[0].since <= told[0].until


def test_after_a_new_shot_nobody_knows_how_many_there_were(course, told):
    again(course)
    take(course, said())
    take(course, samples(35, shot=5))
    assert gaps(told) == [("samples of adc", None, False)]


def test_after_a_restart_nobody_knows_though_the_numbers_fit(course, told):
    again(course, "b")
    take(course, said())
    take(course, samples(35, shot=4))
    assert gaps(told) == [("samples of adc", None, True)]


def test_a_cut_before_the_first_sample_is_told_with_it(told):
    course = SampleCourse("adc", 0.005, told.append)
    begun(course)
    take(course, said())
    again(course)
    take(course, said())
    take(course, samples(35, shot=4))
    assert gaps(told) == [("samples of adc", None, False)]


def test_cuts_without_a_sample_between_them_are_one_gap_that_remembers_a_restart(course, told):
    again(course, "b")
    take(course, said())
    again(course, "b")
    course.cut()
    again(course, "b")
    take(course, said())
    take(course, samples(35, shot=4))
    assert gaps(told) == [("samples of adc", None, True)]
    again(course, "b")
    take(course, said())
    take(course, samples(50, shot=4))
    assert gaps(told)[1:] == [("samples of adc", 5, False)]


def test_what_was_not_taken_in_time_is_counted_over_all_calls(course):
    again(course)
    assert take(course, said()).dropped == 2
    assert take(course, samples(20, shot=4, dropped=3)).dropped == 5
    assert take(course, samples(40, shot=4, dropped=7)).dropped == 9
    again(course)
    again(course)
    take(course, said())
    assert take(course, samples(60, shot=4, dropped=1)).dropped == 10


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.data())
def test_all_that_the_card_took_came_or_is_in_a_gap(counts, data):
    course, came, first = SampleCourse("adc", 0.005, lambda _: None), 0, 0
    begun(course)
    take(course, said())
    take(course, samples(0, 1))
    for count in counts:
        if data.draw(st.booleans(), label="cut"):
            course.cut()
        elif course._cut is not None:
            begun(course)
            take(course, said())
        if course._cut is None:
            came += len(take(course, samples(first + 1, count)))
        first += count
    if course._cut is not None:
        begun(course)
        take(course, said())
    came += len(take(course, samples(first + 1, 1)))
    assert came + sum(gap.lost for gap in course.gaps) == first + 1


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_be_refused(data):
    course = SampleCourse("adc", 0.005)
    begun(course)
    take(course, said())
    for sent in (data, b"\x0a\x08abcdefgh\x10\x01" + data):
        try:
            block = take(course, sent)
        except LimitError as error:
            assert error.what
        else:
            assert block.rows.nbytes <= len(sent)
