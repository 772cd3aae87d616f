"""Framing does not depend on how the bytes were cut on their way."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.link import Fixed, Line

lines = st.lists(st.binary(max_size=20).filter(lambda b: b"\r\n" not in b + b"\r" and b"\n" not in b), max_size=8)


def fed(framing, data: bytes, cuts: list[int]) -> list[bytes]:
    buffer, found = bytearray(), []
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        buffer += data[start:end]
        while (reply := framing.cut(buffer)) is not None:
            found.append(reply)
    return found


@given(lines, st.lists(st.integers(0, 200), max_size=10))
def test_lines_come_out_as_they_went_in(sent: list[bytes], cuts: list[int]):
    assert fed(Line(b"\n"), b"".join(line + b"\n" for line in sent), cuts) == sent


@given(st.binary(max_size=100), st.integers(1, 10), st.lists(st.integers(0, 200), max_size=10))
def test_fixed_replies_lose_no_byte(data: bytes, length: int, cuts: list[int]):
    found = fed(Fixed(length), data, cuts)
    assert b"".join(found) == data[: len(data) // length * length]
    assert all(len(reply) == length for reply in found)
