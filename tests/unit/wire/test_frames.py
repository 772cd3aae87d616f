"""Frames put together by hand are protobuf's messages; whatever is none is refused."""

import sys
import threading
import time
import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
from framed import framed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import FrameParcel, _frames, frame_from, frames_from, messages

ARRAYS = npst.arrays(st.sampled_from(["<u2", "|u1", "<f4"]), npst.array_shapes(min_dims=2, max_dims=2, max_side=40))


def header_of(array, **more):
    height, width = array.shape
    return messages.FrameHeader(sequence=7, width=width, height=height, dtype=array.dtype.str, scale=1, **more)


@given(ARRAYS, st.integers(1, 3))
def test_they_are_what_protobuf_makes_of_them(array, step):
    part = array[::step, ::step]  # with strides
    data = framed(header_of(part), part)
    message = messages.Frame.FromString(data)
    assert message.header == header_of(part)
    assert message.pixels == part.tobytes()
    header, pixels = frame_from(data)
    assert header.sequence == 7
    np.testing.assert_array_equal(pixels, part)
    assert not pixels.flags.writeable
    assert frame_from(message.SerializeToString())[1].tobytes() == part.tobytes()


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(data):
    for sent in (data, b"\x0a" + data, b"\x0a\x00\x12" + data):
        try:
            frames_from(sent)
            frame_from(sent)
        except LimitError as error:
            assert error.what


def test_a_frame_that_is_cut_or_too_long_is_refused():
    array = np.arange(12, dtype="<u2").reshape(3, 4)
    whole = framed(header_of(array), array)
    for end in range(len(whole)):
        with pytest.raises(LimitError):
            frame_from(whole[:end])
    with pytest.raises(LimitError, match="1 bytes after the frame"):
        frame_from(whole + b"x")
    wrong = header_of(array)
    wrong.width = 5
    with pytest.raises(LimitError, match="24 bytes are no frame of 5 × 3 '<u2'"):
        frame_from(framed(wrong, array))


@given(st.lists(ARRAYS, min_size=1, max_size=6))
def test_several_are_one_message_of_protobuf_and_each_is_had_from_it_as_if_it_had_come_alone(arrays):
    parcel = FrameParcel()
    parcel.begin(header_of(arrays[0]), arrays[0])
    for array in arrays[1:]:
        parcel.add(header_of(array), array)
    data = parcel.message()
    whole = messages.Frame.FromString(data)
    assert [whole.pixels, *(also.pixels for also in whole.also)] == [array.tobytes() for array in arrays]
    assert not any(also.also for also in whole.also)
    apart = frames_from(data)
    assert len(apart) == len(arrays)
    for (header, pixels), array in zip(apart, arrays, strict=True):
        assert header == header_of(array)
        np.testing.assert_array_equal(pixels, array)
        assert np.shares_memory(pixels, np.frombuffer(data, np.uint8))


def test_several_that_are_cut_or_no_frames_are_refused():
    array = np.arange(12, dtype="<u2").reshape(3, 4)
    first = framed(header_of(array), array)
    parcel = FrameParcel()
    parcel.begin(header_of(array), array)
    parcel.add(header_of(array), array)
    whole = parcel.message()
    assert len(frames_from(whole)) == 2
    for end in range(len(whole)):
        if end != len(first):  # one alone is whole
            with pytest.raises(LimitError):
                frames_from(whole[:end])
    with pytest.raises(LimitError, match="this is no frame"):
        frames_from(whole + b"x")
    with pytest.raises(LimitError, match="bytes after the frame"):
        frame_from(whole)
    longer = first + _frames.ALSO + _frames.varint(len(first) + 1) + first + b"x"
    with pytest.raises(LimitError, match=f"a frame of {len(first)} bytes is said to have {len(first) + 1}"):
        frames_from(longer)


@pytest.mark.parametrize(
    "dtype", [",", "01i4,i4", "(u ,?", "O", "i4,i4", "S0", "V8", "M8[s]", "", ">u2", "u2", "<f3", "é"]
)
def test_what_is_no_number_is_no_pixel(dtype):
    array = np.arange(12, dtype="<u2").reshape(3, 4)
    wrong = header_of(array)
    wrong.dtype = dtype
    with pytest.raises(LimitError, match="24 bytes are no frame of 4 × 3 .* pixels are numbers"):
        frame_from(framed(wrong, array))


@pytest.mark.parametrize("dtype", ["|b1", "|u1", "|i1", "<u2", "<i4", "<u8", "<f2", "<f4", "<f8", "<c8"])
def test_numbers_of_all_kinds_are_pixels(dtype):
    array = np.ones((2, 3), dtype)
    np.testing.assert_array_equal(frame_from(framed(header_of(array), array))[1], array)


def test_a_header_that_is_none_is_refused():
    with pytest.raises(LimitError, match="the header of this frame is none"):
        frame_from(b"\x0a\x01\xff\x12\x00")


@given(st.lists(st.tuples(st.lists(ARRAYS, min_size=1, max_size=3), st.booleans()), max_size=8), st.booleans())
def test_a_message_stays_what_it_was_whatever_is_made_after_it(made, quick):
    parcel, kept = FrameParcel(), []
    with patch.object(_frames, "QUICK", _frames.QUICK if quick else 16):
        for arrays, keep in made:
            parcel.begin(header_of(arrays[0]), arrays[0])
            for array in arrays[1:]:
                parcel.add(header_of(array), array)
            message = parcel.message()
            assert [pixels.tobytes() for _, pixels in frames_from(message)] == [a.tobytes() for a in arrays]
            if keep:
                kept.append((message, bytes(bytearray(message))))
    assert all(message == as_it_was for message, as_it_was in kept)


@pytest.mark.parametrize("side", [400, 1200])
def test_the_next_message_has_the_memory_of_the_last_one_if_nobody_has_that_any_more(side):
    array, parcel = np.zeros((side, side), "<u2"), FrameParcel()
    parcel.begin(header_of(array), array)
    held = parcel.message()
    assert parcel.message() is held  # not copied
    parcel.begin(header_of(array), array)
    assert parcel.message() is not held
    tracemalloc.start()
    try:
        for _ in range(5):
            parcel.begin(header_of(array), array)
            parcel.message()
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 10
    finally:
        tracemalloc.stop()


def test_pythons_lock_is_let_go_while_a_large_frame_is_copied():
    """With so long an interval nobody else runs before it is let go by itself."""
    array, parcel, turns, over = np.zeros((3000, 3000), "<u2"), FrameParcel(), [0], threading.Event()

    def elsewhere():
        while not over.is_set():
            turns[0] += 1
            time.sleep(0)

    parcel.begin(header_of(array), array)  # its memory
    before, thread = sys.getswitchinterval(), threading.Thread(target=elsewhere)
    thread.start()
    sys.setswitchinterval(60)
    try:
        for _ in range(1000):  # where the machine is busy the other thread may be late
            then = turns[0]
            parcel.begin(header_of(array), array)
            if turns[0] > then:
                break
        else:
            pytest.fail("it was never let go")
    finally:
        sys.setswitchinterval(before)
        over.set()
        thread.join()
