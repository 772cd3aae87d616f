"""What a simulated instrument understands: typed places, SCPI headers in all their forms; answers."""

import pytest

from rdaq_ophyd.declaration import Answer, ExpressionError, Pattern, TemplateError, check_template, names


@pytest.mark.parametrize(
    ("pattern", "text", "values"),
    [
        ("SETP {out:1|2},{value:float}", "SETP 2,-1.5e-3", {"out": "2", "value": -0.0015}),
        ("SETP {out:1|2},{value:float}", "SETP 3,1", None),
        ("SETP {out:1|2},{value:float}", "SETP 1,nan", None),
        ("SETP {out:1|2},{value:float}", "SETP 1,1 ", None),
        ("SETP {out:1|2},{value:float}", "setp 1,1", None),
        ("N {n:int}", "N +07", {"n": 7}),
        ("N {n:int}", "N 1.0", None),
        ("O {on:bool}", "O off", {"on": False}),
        ("O {on:bool}", "O 1", {"on": True}),
        ("L {text:text}", "L a b", {"text": "a b"}),
        ("W {w:A|AB}", "W AB", {"w": "AB"}),
        ("{{x}}", "{x}", {}),
    ],
)
def test_plain_texts(pattern, text, values):
    assert Pattern(pattern).match(text) == values


@pytest.mark.parametrize(
    "text",
    [
        ":SOURce1:VOLTage:LEVel 1.5",
        ":SOUR:VOLT 1.5",
        "sour:volt:lev 1.5",
        "SOURce:VOLT   1.5",
        ":Sour1:Voltage 1.5",
    ],
)
def test_every_form_of_an_scpi_header(text):
    assert Pattern(":SOURce[1]:VOLTage[:LEVel] {v:float}", scpi=True).match(text) == {"v": 1.5}


@pytest.mark.parametrize(
    "text", [":SOURC:VOLT 1.5", ":SOUR:VOLTA 1.5", ":SOUR2:VOLT 1.5", ":SOUR:VOLT1.5", "::SOUR:VOLT 1"]
)
def test_what_is_no_form_of_it(text):
    assert Pattern(":SOURce[1]:VOLTage[:LEVel] {v:float}", scpi=True).match(text) is None


def test_scpi_blanks_around_commas_and_common_commands():
    assert Pattern(":SYST:BEEP {f:float},{d:float}", scpi=True).match("SYST:BEEP 500 , 1") == {"f": 500.0, "d": 1.0}
    assert Pattern("*IDN?", scpi=True).match("*idn?") == {}
    assert Pattern("OUTPUT{ch:1|2}:STATE?", scpi=True).match(":output2:state?") == {"ch": "2"}
    assert Pattern("K {k:Alpha|Beta}", ignore_case=True).match("k BETA") == {"k": "Beta"}


@pytest.mark.parametrize("pattern", ["{x}", "{x:floot}", "{1:int}", "{:int}", "{a:int}{a:int}", "{a:int", "a}"])
def test_bad_patterns(pattern):
    with pytest.raises(TemplateError):
        Pattern(pattern)


def test_answers_are_expressions_with_formats():
    answer = Answer("{a * 2:.3f},{'ON' if on else 'OFF'},{t[k]:+d}{{}}")
    assert answer({"a": 1.25, "on": False, "t": {"x": 3}, "k": "x"}) == "2.500,OFF,+3{}"
    assert answer.names == {"a", "on", "t", "k"}
    with pytest.raises(TemplateError, match="as 'd'"):
        Answer("{a:d}")({"a": 1.5})
    with pytest.raises(ExpressionError, match="has no value"):
        Answer("{a}")({})
    with pytest.raises(ExpressionError):
        Answer("{a.b}")


def test_templates_of_commands():
    check_template("{axis}PA{value:.6f};{{}}", {"axis": "1", "value": 1.5})
    assert names("{axis}PA{value:.6f}") == ["axis", "value"]
    with pytest.raises(TemplateError, match="is no name"):
        names("{a.b}")
    with pytest.raises(TemplateError, match="is unknown"):
        check_template("{value[0]}", {"value": 1.5})
