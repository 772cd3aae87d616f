"""Blocks of samples put together by hand are protobuf's messages; whatever is none is refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import messages, row_dtype, rows_from, sample_bytes, samples_from

SCHEMA = messages.SampleSchema(
    schema_id=3,
    device="adc",
    rate=1e4,
    columns=[
        messages.SampleColumn(name="a", dtype="<f4", units="V"),
        messages.SampleColumn(name="b", dtype="|u1", calibration=messages.SampleCalibration(scale=2.5)),
    ],
)
ROW = np.dtype([("a", "<f4"), ("b", "|u1")])
COUNTS = st.integers(0, 2**64 - 1)
HEADS = st.builds(
    messages.SampleBlock,
    schema_id=COUNTS,
    first_seq=COUNTS,
    dropped=COUNTS,
    time=st.floats(allow_nan=False),
    shot=COUNTS,
    schema=st.sampled_from([None, SCHEMA]),
)
PARTS = st.lists(npst.arrays(ROW, st.integers(0, 300), elements=st.tuples(st.floats(width=32), st.integers(0, 255))))


@given(HEADS, PARTS)
def test_they_are_what_protobuf_makes_of_them(head, parts):
    payload = b"".join(part.tobytes() for part in parts)
    data = sample_bytes(head, parts)
    message = messages.SampleBlock.FromString(data)
    assert message.payload == payload
    whole = messages.SampleBlock(payload=payload)
    whole.MergeFrom(head)
    assert message == whole
    if payload:  # protobuf leaves out what is empty
        assert data == whole.SerializeToString(deterministic=True)
    for sent in (data, whole.SerializeToString()):
        found, view = samples_from(sent)
        assert found == head
        assert bytes(view) == payload
        rows = rows_from(view, ROW)
        assert rows.tobytes() == payload
        assert not rows.flags.writeable


def test_taking_the_samples_out_copies_none_of_them():
    data = sample_bytes(messages.SampleBlock(first_seq=7), [np.arange(5, dtype="<f4")])
    _, view = samples_from(data)
    assert view.obj is data
    assert np.shares_memory(rows_from(view, np.dtype([("a", "<f4")])), np.frombuffer(data, "u1"))


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_be_refused(data):
    for sent in (data, b"\x0a" + data, b"\x0a\x05abcde" + data, data + sample_bytes(messages.SampleBlock(shot=1))):
        try:
            head, view = samples_from(sent)
        except LimitError as error:
            assert "block of samples" in error.what
            assert error.hint
            continue
        assert not head.payload
        assert len(view) <= len(sent)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_schema_and_payload_do_more_than_be_refused(data, payload):
    try:
        head, _ = samples_from(b"\x3a" + bytes([len(data)]) + data)  # field 7, the schema
        rows = rows_from(memoryview(payload), row_dtype(head.schema))
    except LimitError as error:
        assert error.what
        assert error.hint
        return
    assert rows.tobytes() == payload


NAMES = st.text(max_size=3)
TAKEN = ["<f4", "<f8", "<i2", "<u4", "|u1", "|i1"]
DTYPES = st.sampled_from([*TAKEN, ">f4", "<f2", "<f4x", "<i2,<i2", "O", "", "(9,)<f4", "<M8"])


@given(st.lists(st.tuples(NAMES, DTYPES), max_size=4))
def test_a_row_is_what_its_columns_say_or_is_refused(columns):
    schema = messages.SampleSchema(
        device="adc", columns=[messages.SampleColumn(name=name, dtype=dtype) for name, dtype in columns]
    )
    names = [name for name, _ in columns]
    named = bool(names) and all(names) and len(set(names)) == len(names)
    if not named or not all(kind in TAKEN for _, kind in columns):
        with pytest.raises(LimitError) as caught:
            row_dtype(schema)
        assert caught.value.hint
        return
    dtype = row_dtype(schema)
    assert list(dtype.names) == names
    assert [dtype[name].str for name in names] == [kind for _, kind in columns]
    assert dtype.itemsize == sum(int(kind[-1]) for _, kind in columns)


def test_a_block_that_is_cut_within_its_samples_or_has_them_twice_is_refused():
    rows = np.arange(100, dtype="<f4")
    whole = sample_bytes(messages.SampleBlock(schema_id=1, first_seq=5), [rows])
    for end in range(1, 2 + rows.nbytes):
        with pytest.raises(LimitError, match="cut short → was the connection lost"):
            samples_from(whole[:end])
    with pytest.raises(LimitError, match="two payloads"):
        samples_from(whole + b"\x0a\x01x")
    with pytest.raises(LimitError, match="this is no block of samples → does the server"):
        samples_from(whole + b"\x10")


def test_parts_of_rows_are_refused():
    with pytest.raises(LimitError, match="7 bytes are no rows of 5 bytes"):
        rows_from(memoryview(bytes(7)), ROW)
    assert len(rows_from(memoryview(b""), ROW)) == 0
