"""What to do next is told by what pylon says."""

import pytest

from rdaq_ophyd.devices._pylon_hints import hint


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ("The device is controlled by another application.", "close pylon Viewer"),
        ("Access denied.", "close pylon Viewer"),
        ("no memory for a frame of 8388608 bytes", "buffers="),
        ("The stream grabber signals an available result but the retrieval fails.", "take the frames again"),
        ("Something else.", "check cable and power"),
    ],
)
def test_the_next_step(said, step):
    assert step in hint(said)
