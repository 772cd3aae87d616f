"""How replies of a declared instrument are read."""

import pytest

from rdaq_ophyd.declaration import Signal
from rdaq_ophyd.devices._declared_read import datatype, expected, native, reader, written


@pytest.mark.parametrize(
    ("signal", "reply", "value"),
    [
        ({"type": "float"}, "+1.50E-3", 0.0015),
        ({"type": "int", "pattern": r"(?P<value>\d+)nm"}, "820nm", 820),
        ({"type": "float", "pattern": r"POW:(?P<value>[^,]+),.*"}, "POW: 2.5 ,OK", 2.5),
        ({"type": "int", "field": 2}, "1, 7,3", 7),
        ({"type": "bool"}, "0", False),
        ({"type": "bool", "codes": {"true": ["ON", "1"], "false": "OFF"}}, "1", True),
        ({"type": "str", "field": 1}, "a b ,c", "a b"),
    ],
)
def test_what_is_read(signal, reply, value):
    made = Signal(ask="x", **signal)
    assert reader(made, datatype("x", made))(reply) == value


@pytest.mark.parametrize(
    ("signal", "reply", "expectation"),
    [
        ({"type": "float"}, "nan", "a finite decimal number"),
        ({"type": "float"}, "1_0", "a finite decimal number"),
        ({"type": "int"}, "1.0", "an integer"),
        ({"type": "bool"}, "ON", "0 or 1"),
        ({"type": "str"}, "", "a text that is not empty"),
        ({"type": "int", "pattern": r"(?P<value>\d+)nm"}, "820 nm", "a reply like"),
        ({"type": "int", "pattern": r"a|(?P<value>\d+)"}, "a", "a reply like"),
        ({"type": "int", "field": 4}, "1,2,3", "at least 4 parts"),
        ({"type": "bool", "codes": {"true": ["ON", "1"], "false": "OFF"}}, "on", "one of ON, 1, OFF"),
    ],
)
def test_what_is_refused(signal, reply, expectation):
    made = Signal(ask="x", **signal)
    with pytest.raises(ValueError, match=expectation):
        reader(made, datatype("x", made))(reply)


def test_enums_have_the_words_of_the_file_and_names_that_python_takes():
    made = Signal(type="enum", ask="x", codes={"open loop": "0", "3": "1", "off": ["2", "02"], "_x": "5"})
    kind = datatype("output_mode", made)
    assert kind.__name__ == "OutputMode"
    assert [member.name for member in kind] == ["OPEN_LOOP", "VALUE_3", "OFF", "VALUE__X"]
    assert [member.value for member in kind] == ["open loop", "3", "off", "_x"]
    assert reader(made, kind)("02") is kind("off")
    assert written(made, kind)[kind("off")] == "2"
    alike = Signal(type="enum", ask="x", codes={"a b": "0", "a-b": "1"})
    assert [member.value for member in datatype("x", alike)] == ["a b", "a-b"]


def test_values_of_the_file_get_the_type_of_the_signal():
    assert native(Signal(type="bool", ask="x"), bool, "false") is False
    assert native(Signal(type="float", ask="x"), float, 3) == 3.0
    assert native(Signal(ask="x"), float, None) is None


def test_replies_of_commands_must_fit():
    assert expected("OK|DONE")("DONE") == "DONE"
    with pytest.raises(ValueError, match="a reply like OK"):
        expected("OK")("OK!")
