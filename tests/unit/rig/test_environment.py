"""Environment variables in the texts of a profile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import UnknownName
from rdaq_ophyd.rig._environment import substitute

HERE = {"PORT": "/dev/ttyUSB0", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${PORT}", "/dev/ttyUSB0"),
        ("a${PORT}b${PORT}", "a/dev/ttyUSB0b/dev/ttyUSB0"),
        ("${NONE:-COM3}", "COM3"),
        ("${EMPTY:-COM3}", "COM3"),
        ("${NONE:-}", ""),
        ("cost $$5 and $5", "cost $5 and $5"),
        ("$${PORT}", "${PORT}"),
    ],
)
def test_places_are_filled_in(text, filled):
    assert substitute(text, HERE) == filled


def test_also_inside_tables_and_arrays():
    assert substitute({"a": ["${PORT}", 1], "b": {"c": "${PORT}"}}, HERE) == {
        "a": ["/dev/ttyUSB0", 1],
        "b": {"c": "/dev/ttyUSB0"},
    }


@pytest.mark.parametrize("text", ["${NONE}", "${EMPTY}"])
def test_one_that_is_not_set_is_named_with_what_to_do(text):
    name = text[2:-1]
    with pytest.raises(UnknownName, match=rf"variable {name} is not set → export {name}=.*\${{{name}:-otherwise}}"):
        substitute(text, HERE)


@pytest.mark.parametrize("text", ["${}", "${1}", "${A B}", "${A-B}"])
def test_what_is_no_variable_is_refused(text):
    with pytest.raises(UnknownName, match="is no environment variable → write"):
        substitute(text, HERE)


@given(st.text())
def test_a_text_with_doubled_dollars_comes_back(text):
    assert substitute(text.replace("$", "$$"), {}) == text
