"""Any document that the spool takes comes back as it was; a file cut anywhere gives the whole lines before the cut."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.catalog._runfile import RunFileReader
from rdaq_ophyd.document_lines import decode, encode

scalars = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


def same(left, right):
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@given(st.dictionaries(st.text(), values, max_size=5))
def test_a_document_comes_back_as_it_was(document):
    assert same(document, decode(encode("event", document))[1])


@given(st.lists(st.floats(width=32), max_size=20), st.sampled_from(["f4", "f8", ">f8"]))
def test_an_array_comes_back_as_its_numbers(numbers, dtype):
    array = np.array(numbers, dtype)
    back = np.array(decode(encode("event", {"x": array}))[1]["x"], dtype)  # float32 is written as short as it may be
    assert np.array_equal(back, array, equal_nan=True)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.text(max_size=3), scalars, max_size=2), min_size=1, max_size=6), st.data())
def test_a_file_cut_anywhere_gives_the_whole_lines_before_the_cut(tmp_path_factory, documents, data):
    path = tmp_path_factory.mktemp("cut") / "u.jsonl"
    header = b'{"rdaq_spool":1,"run":"u","owner":"o","created":0.0}\n'
    lines = [encode("event", document) for document in documents]
    whole = header + b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    reader = RunFileReader(path)
    block = data.draw(st.integers(1, 200))
    found = []
    while documents_read := reader.read(block):
        found += documents_read
    assert len(found) == max(0, whole[:cut].count(b"\n") - 1)
    path.write_bytes(whole)
    while documents_read := reader.read(block):
        found += documents_read
    assert len(found) == len(documents)
