"""Frames: whole ones, however their bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.scripts._framing import FROM_SCRIPT, Unpacker, pack

frames = st.lists(st.dictionaries(st.text(max_size=5), st.integers(0, 1 << 60), max_size=3), max_size=6)


@given(frames, st.data())
def test_frames_come_whole_however_they_arrive(sent, data):
    whole = b"".join(map(pack, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    unpacker = Unpacker()
    found = []
    for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += unpacker.feed(whole[a:b])
    assert found == sent


@given(st.binary(max_size=60))
def test_nonsense_is_refused_or_waits_for_more(data):
    try:
        for frame in Unpacker().feed(data):
            assert isinstance(frame, dict)
    except LimitError:
        return


def test_one_that_is_too_long_is_refused_at_its_beginning():
    with pytest.raises(LimitError, match="a frame of"):
        list(Unpacker().feed((FROM_SCRIPT + 1).to_bytes(4, "big")))
    with pytest.raises(LimitError, match="cannot travel"):
        pack({"x": object()})
