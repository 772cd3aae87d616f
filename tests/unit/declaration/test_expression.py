"""Expressions compute, and reach nothing."""

import pytest

from rdaq_ophyd.declaration import Expression, ExpressionError

NAMES = {"a": 6, "b": 1.5, "on": True, "mode": "VOLT", "t": {"1": 10.0, "A": 7}, "key": "A"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * 2", 9.0),
        ("-a // 4", -2),
        ("a % 4 | 8", 10),
        ("a & 2", 2),
        ("a / 4", 1.5),
        ("1 if on and not a == 7 else 2", 1),
        ("on or undefined_is_not_looked_at", True),
        ("1 < b <= 1.5 < a", True),
        ("1 < b < 1", False),
        ("t['1'] + t[key]", 17.0),
        ("max(-a, min(a, 100))", 6),
        ("abs(-3) + round(2.4) + int('7') + float('1') + bool(0)", 13.0),
        ("mode == 'VOLT' and 'x' + 'y'", True),
        ("'ON' if on else 'OFF'", "ON"),
        ("+b", 1.5),
    ],
)
def test_values(text, value):
    assert Expression(text)(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "().__class__",
        "__import__('os')",
        "open('/etc/passwd')",
        "[x for x in t]",
        "lambda: 1",
        "f'{a}'",
        "a ** a",
        "a << 5",
        "t[a + 1]",
        "max(a, key=a)",
        "max(*t)",
        "(a := 1)",
        "a if b",
        "",
        "a b",
        "b'x'",
        "1j",
        "None",
        "t['A':'B']",
        "'x' in t",
        "9" * 501,
        "(" * 200 + ")" * 200,
    ],
)
def test_what_is_more_than_an_expression_is_refused(text):
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    ["a / 0", "t['missing']", "undefined", "'x' * 999999999", "'%999999999d' % 1", "mode + 1", "mode < a", "int('x')"],
)
def test_what_has_no_value_is_told(text):
    with pytest.raises(ExpressionError, match="has no value"):
        Expression(text)(NAMES)


def test_values_do_not_grow_without_end():
    grow = Expression("a * a")
    value = 2**600
    with pytest.raises(ExpressionError, match="too large"):
        grow({"a": value})
    with pytest.raises(ExpressionError, match="too long"):
        Expression("a + a")({"a": "x" * 4000})


def test_names_are_known_without_a_value():
    assert Expression("a + t[key] if on else max(b, 1)").names == {"a", "t", "key", "on", "b"}
