import pytest
from ophyd_async.core import StrictEnum

from rdaq_ophyd.errors import BadReply, LimitError
from rdaq_ophyd.signals import LineProtocol, check_value, parse_bool, parse_float, parse_int, parse_str
from rdaq_ophyd.signals._parse import parser_for


class Mode(StrictEnum):
    SLOW = "slow"
    FAST = "fast"


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), ("5E-9", 5e-9), ("+.75E-9", 0.75e-9), ("-15.24", -15.24), ("3.", 3.0)]
)
def test_floats(text: str, value: float):
    assert parse_float(text) == value


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", "1e999", "0x10", "1.5mm", "1,5", "--1"])
def test_what_is_no_float(text: str):
    with pytest.raises(ValueError, match="finite decimal"):
        parse_float(text)


def test_integers_flags_and_texts():
    assert (parse_int("-03"), parse_bool("1"), parse_bool("0"), parse_str("x y")) == (-3, True, False, "x y")
    for parse, bad in ((parse_int, "1.0"), (parse_bool, "2"), (parse_bool, "true"), (parse_str, "")):
        with pytest.raises(ValueError, match=r"."):
            parse(bad)


def test_codes_allow_padded_numbers_and_nothing_else():
    parse = parser_for(Mode, {"1": Mode.SLOW, "3": Mode.FAST})
    assert parse("1") is Mode.SLOW
    assert parse("03") is Mode.FAST
    with pytest.raises(ValueError, match="one of 1, 3"):
        parse("2")


def test_an_enum_without_codes_is_read_by_its_values():
    assert parser_for(Mode)("fast") is Mode.FAST


def test_a_type_without_strict_reading_needs_a_parse():
    with pytest.raises(TypeError, match="give Ask a parse"):
        parser_for(list)


def test_values_are_checked_against_type_and_limits():
    check_value("x", 5, (0, 10), "mm")
    check_value("x", True, (5, 10), None)
    check_value("x", "text", (0, 1), None)
    with pytest.raises(LimitError, match=r"x: 11 mm is outside 0 to 10 mm"):
        check_value("x", 11, (0, 10), "mm")
    with pytest.raises(LimitError, match=r"x: nan is not a finite number → a finite number is needed"):
        check_value("x", float("nan"), None, None)
    with pytest.raises(LimitError, match=r"allowed: 0 to 10$"):
        check_value("x", float("inf"), (0, 10), None)


def test_a_protocol_turns_text_into_bytes_and_back():
    protocol = LineProtocol(command_end="\r")
    assert protocol.encode("1PA5", "TB?") == b"1PA5\rTB?\r"
    assert protocol.decode(b" 1.5 ", "1TP?") == "1.5"
    with pytest.raises(BadReply, match=r"is not ascii text → check the baud rate"):
        protocol.decode(b"\xff\xfe", "1TP?")
