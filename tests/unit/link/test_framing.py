import pytest

from rdaq_ophyd.link import Fixed, Line


def test_a_line_is_cut_at_its_end_mark_and_the_rest_stays():
    buffer = bytearray(b"1.5\r\n2.")
    assert Line(b"\r\n").cut(buffer) == b"1.5"
    assert buffer == b"2."
    assert Line(b"\r\n").cut(buffer) is None
    assert buffer == b"2."


def test_an_end_mark_split_over_two_reads_is_found():
    buffer = bytearray(b"1.5\r")
    assert Line(b"\r\n").cut(buffer) is None
    buffer += b"\n"
    assert Line(b"\r\n").cut(buffer) == b"1.5"


def test_a_fixed_reply_takes_its_length():
    buffer = bytearray(b"abcd")
    assert Fixed(3).cut(buffer) == b"abc"
    assert Fixed(3).cut(buffer) is None
    assert buffer == b"d"


@pytest.mark.parametrize("make", [lambda: Line(b""), lambda: Fixed(0)])
def test_framings_that_can_never_match_are_refused(make):
    with pytest.raises(ValueError, match="at least"):
        make()
