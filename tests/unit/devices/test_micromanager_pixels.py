"""Names of pixel formats, as adapters have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.devices._mm_pixels import format_of, known_formats
from rdaq_ophyd.errors import MicroManagerError
from rdaq_ophyd.frames import PixelFormat


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["16bit", "32bit", "32bitRGB", "64bitRGB", "8bit"], {PixelFormat.MONO8: "8bit", PixelFormat.MONO16: "16bit"}),
        (["Mono8", "Mono12", "Mono12Packed", "BayerRG8"], {PixelFormat.MONO8: "Mono8", PixelFormat.MONO12: "Mono12"}),
        (["GRAY8", "GRAY16", "RGB32"], {PixelFormat.MONO8: "GRAY8", PixelFormat.MONO16: "GRAY16"}),
        (["10 bit", "12 bits"], {PixelFormat.MONO10: "10 bit", PixelFormat.MONO12: "12 bits"}),
        ([], {}),
    ],
)
def test_names_of_adapters(values, expected):
    assert known_formats(values) == {f: {"PixelType": name} for f, name in expected.items()}


@given(st.lists(st.text()))
def test_other_names_are_no_formats_and_no_error(values):
    for settings in known_formats(values).values():
        assert settings["PixelType"] in values


@pytest.mark.parametrize(
    ("size", "bits", "expected"),
    [
        (1, 8, PixelFormat.MONO8),
        (2, 10, PixelFormat.MONO10),
        (2, 12, PixelFormat.MONO12),
        (2, 14, PixelFormat.MONO16),
        (2, 16, PixelFormat.MONO16),
    ],
)
def test_formats_by_bytes_and_bits(size, bits, expected):
    assert format_of("cam", size, bits, 1) is expected


@pytest.mark.parametrize(("size", "components"), [(4, 1), (4, 4), (8, 4), (1, 3)])
def test_colour_and_more_than_16_bits_are_refused(size, components):
    with pytest.raises(MicroManagerError, match="choose a monochrome PixelType"):
        format_of("cam", size, 8, components)
