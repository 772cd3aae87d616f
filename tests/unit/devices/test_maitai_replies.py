"""Replies of a Mai Tai, read strictly: what is no reply is an error, never a number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.devices._maitai_errors import ErrorBuffer, Fault, raise_first
from rdaq_ophyd.devices._maitai_replies import (
    parse_code,
    parse_emitting,
    parse_history,
    parse_mode_locked,
    parse_nm,
    parse_percent,
    parse_status,
    parse_watts,
)
from rdaq_ophyd.errors import BadReply, InstrumentError

PARSERS = [parse_nm, parse_percent, parse_watts, parse_status, parse_emitting, parse_mode_locked, parse_code]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_nm, "820nm", 820.0),
        (parse_nm, "820 nm", 820.0),
        (parse_nm, "820", 820.0),
        (parse_percent, "100.00%", 100.0),
        (parse_percent, "050%", 50.0),
        (parse_watts, "3.00W", 3.0),
        (parse_watts, "3000mW", 3.0),
        (parse_watts, "-0.01W", -0.01),
        (parse_status, "8", 8),
        (parse_emitting, "9", True),
        (parse_emitting, "8", False),
        (parse_mode_locked, "10", True),
        (parse_mode_locked, "9", False),
        (parse_code, "120", "120 key switch off"),
        (parse_code, "63", "63 (see the manual)"),
        (parse_history, "001 003 000", "1 on, power mode; 3 on, adjusting power; 0 nothing"),
        (parse_history, "001,116", "1 on, power mode; 116 interlock cleared"),
    ],
)
def test_what_a_laser_says(parse, text, value):
    assert parse(text) == value


def test_a_percentage_of_the_rated_power():
    assert parse_watts("50.00%", 3.0) == 1.5
    assert parse_watts("3.00W", 2.0) == 3.0
    with pytest.raises(ValueError, match="rated_power"):
        parse_watts("50.00%")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_nm, "820 m"), (parse_nm, "8W"), (parse_nm, "5nm"), (parse_nm, "nannm"), (parse_nm, "1e5"),
        (parse_percent, "50"), (parse_percent, "50W"), (parse_watts, "3"), (parse_watts, "3kW"), (parse_watts, "3MW"),
        (parse_watts, "W"), (parse_watts, "infW"), (parse_status, "256"), (parse_status, "-1"), (parse_status, "8.0"),
        (parse_emitting, "on"), (parse_history, "001 x"), (parse_history, ""),
    ],
)  # fmt: skip
def test_what_no_laser_says(parse, text):
    with pytest.raises(ValueError, match="."):
        parse(text)


@given(st.text(max_size=20), st.sampled_from(PARSERS))
def test_any_text_is_a_value_or_a_value_error(text, parse):
    try:
        value = parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(value, str) or math.isfinite(value)


@given(st.integers(0, 255))
def test_status_bits_beyond_the_two_are_masked(status):
    assert parse_emitting(str(status)) is bool(status % 2)
    assert parse_mode_locked(str(status)) is bool(status // 2 % 2)


@pytest.mark.parametrize(
    ("reply", "code", "is_error"),
    [
        ("0", 0, False), ("0, NO_ERR", 0, False), ("+0,\"No error\"", 0, False), ("64, LASER_ON", 64, False),
        ("129 CMD_ERR", 129, True), ("130", 130, True), ("160, x", 160, True), ("227: all", 227, True),
        ("128", 128, True),
    ],
)  # fmt: skip
def test_entries_of_the_error_buffer(reply, code, is_error):
    fault = Fault.parse(reply)
    assert (fault.code, fault.is_error) == (code, is_error)
    assert bool(fault.cause)


@pytest.mark.parametrize("reply", ["", "ok", "-113", "256", "1290", "nan"])
def test_what_is_no_entry(reply):
    with pytest.raises(BadReply, match="expected a code"):
        Fault.parse(reply)


@given(st.lists(st.sampled_from([0, 64, 129, 130, 160, 194, 227]), max_size=40))
async def test_a_buffer_is_read_until_an_entry_is_no_error(codes):
    waiting = iter(codes)
    asked = 0

    async def ask(question: str) -> str:
        nonlocal asked
        asked += 1
        assert question == "SYSTem:ERR?"
        return str(next(waiting, 0))

    found = await ErrorBuffer().empty(ask)
    errors = [code for code in codes if code not in {0, 64}]
    assert [fault.code for fault in found] == errors[: len(found)]
    assert asked <= 32
    assert len(found) == asked or asked == len(found) + 1


def test_every_cause_is_told_and_the_most_urgent_step_named():
    with pytest.raises(InstrumentError) as told:
        raise_first([Fault.parse("227"), Fault.parse("129")], "laser", "ON")
    text = str(told.value)
    assert text.startswith("laser: instrument error 227: command not understood; command cannot be carried out now;")
    assert "after 'ON' → look at the power supply's display" in text
    assert told.value.__notes__ == ["then error 129: command not understood"]
    raise_first([], "laser", "ON")
