import numpy as np
import pytest

from rdaq_ophyd.frames import FrameFormat, PixelFormat, frame_statistics


@pytest.mark.parametrize(("name", "bits", "dtype"), [("Mono8", 8, "|u1"), ("Mono12", 12, "<u2"), ("Mono16", 16, "<u2")])
def test_pixel_format_says_bits_and_dtype(name, bits, dtype):
    assert (PixelFormat(name).bits, PixelFormat(name).dtype_numpy) == (bits, dtype)


def test_frame_format_sizes():
    assert FrameFormat(3, 5, "<u2").nbytes == 30
    assert FrameFormat(3, 5, "|u1").nbytes == 15
    assert FrameFormat(3, 5, "|u1").shape == (3, 5)


def test_statistics_of_the_brightest_frame_do_not_overflow():
    frame = np.full((300, 65537), 65535, "<u2")
    assert frame_statistics(frame) == (65535.0, 65535, 300 * 65537 * 65535)
    wide = np.full((1, 70000), 65535, "<u2")
    assert frame_statistics(wide).sum == 70000 * 65535
