"""Values cross the wire as they are; what is none is refused in words."""

import math
from enum import Enum

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import from_value, messages, to_value

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.lists(st.text(), min_size=1),
)
KINDS = st.sampled_from(["|b1", "|u1", "<u2", "<i4", "<i8", ">u4", "<f4", ">f8"])


@given(SCALARS)
def test_what_is_sent_arrives_as_the_same_type(value):
    back = from_value(messages.Value.FromString(to_value(value).SerializeToString()))
    assert type(back) is type(value)
    assert back == value


@given(npst.arrays(KINDS, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
def test_arrays_keep_shape_and_values(array):
    back = from_value(to_value(array))
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(back, array)
    assert not back.flags.writeable


def test_numbers_of_other_kinds():
    class Filter(Enum):
        SLOW = "slow"

    assert math.isnan(from_value(to_value(float("nan"))))
    assert from_value(to_value(np.float32(0.5))) == 0.5
    assert from_value(to_value(Filter.SLOW)) == "slow"
    assert from_value(to_value([Filter.SLOW, "fast"])) == ["slow", "fast"]
    assert from_value(to_value(1 << 80)) == float(1 << 80)
    assert list(from_value(to_value([1, 2.5]))) == [1.0, 2.5]


@pytest.mark.parametrize("value", [None, {"a": 1}, object(), np.array(["x"]), [1, "x"], np.zeros((1 << 26) + 1, "u1")])
def test_what_does_not_travel_is_named(value):
    with pytest.raises(LimitError, match="cannot be sent"):
        to_value(value)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (messages.Value(), "has no value"),
        (messages.Value(array=messages.Array(dtype="<f8", shape=[2], data=b"1234567")), r"7 bytes are no float64"),
        (messages.Value(array=messages.Array(dtype="O", shape=[1], data=b"12345678")), "'O' are not taken"),
        (messages.Value(array=messages.Array(dtype="f8,f8", shape=[1], data=bytes(16))), "are not taken"),
        (messages.Value(array=messages.Array(dtype="|u1", shape=[1 << 63, 1 << 63], data=b"")), "0 bytes are no"),
        (messages.Value(array=messages.Array(dtype="|u1", shape=[1] * 40, data=b"1")), "are no"),
    ],
)
def test_a_message_that_is_no_value_is_refused(message, said):
    with pytest.raises(LimitError, match=said):
        from_value(message)


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(data):
    try:
        message = messages.Value.FromString(data)
    except DecodeError:
        return
    try:
        from_value(message)
    except LimitError as error:
        assert error.what


def test_an_empty_array_of_a_shape_that_cannot_be_is_refused():
    with pytest.raises(LimitError, match="no arrays of shape"):
        from_value(messages.Value(array=messages.Array(dtype="<f8", shape=[0, 1 << 63])))
