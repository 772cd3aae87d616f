"""Block ids of Basler's cameras: where they begin, jump, wrap or are missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.devices._pylon_blocks import Blocks

NONE = 2**64 - 1


@pytest.mark.parametrize(
    ("device_class", "blocks", "expected"),
    [
        ("BaslerUsb", [0, 1, 2], [0, 1, 2]),
        ("BaslerGigE", [1, 2, 5], [0, 1, 4]),
        ("BaslerGigE", [65534, 65535, 1], [65533, 65534, 65535]),
        ("BaslerGigE", [0, 0, 0], [0, 1, 2]),
        ("BaslerUsb", [5, 6], [5, 6]),
        ("BaslerGigE", [5, 6], [4, 5]),
        ("", [0, 1], [0, 1]),
        ("", [1, 2], [0, 1]),
        ("", [5, 6], [4, 5]),
        ("BaslerGTC/Basler/CXP", [NONE, NONE], [0, 1]),
        ("BaslerUsb", [NONE, 1, NONE, 3], [0, 2, 3, 5]),
    ],
)
def test_block_ids_become_sequence_numbers(device_class, blocks, expected):
    numbers = Blocks(device_class)
    assert [numbers.number(block) for block in blocks] == expected
    numbers.begin()
    assert [numbers.number(block) for block in blocks] == expected, "each start counts anew"


def test_frames_that_pylon_skipped_count_once():
    numbers = Blocks("BaslerUsb")
    assert [numbers.number(0), numbers.number(3, 2), numbers.number(4, 2)] == [0, 3, 6]


@given(st.sets(st.integers(0, 60_000), min_size=1))
def test_each_frame_has_the_number_that_the_camera_gave_it(came):
    numbers = Blocks("BaslerGigE")
    assert [numbers.number(frame + 1) for frame in sorted(came)] == sorted(came)
