"""On which line of a TOML file a value stands."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.rig._toml_lines import Lines, line_of_error

TEXT = """\
# a comment
format = 1

[rig]
name = "lab"   # with [brackets]

[[device]]
name = "a"
options.axes = { 1 = "x", 2 = "y" }

[[device]]
name = '''
[not a table]
'''
limits = [
  -1,
  1,
]
[device.safe]
off = true

[calibration.zero]
value = 1.0
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("format",), 2),
        (("rig",), 4),
        (("rig", "name"), 5),
        (("device", 0), 7),
        (("device", 0, "options", "axes", "2"), 9),
        (("device", 1, "name"), 12),
        (("device", 1, "limits", 1), 15),
        (("device", 1, "safe", "off"), 20),
        (("device", 1, "nothing"), 11),
        (("calibration", "zero", "value"), 23),
        (("nothing",), 1),
    ],
)
def test_each_value_has_its_line(key, line):
    assert Lines(TEXT).of(key) == line


def error_of(text):
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    return error.value


def test_the_line_where_the_parser_gave_up():
    text = 'a = 1\nb = "x\nc = 2\n'
    assert line_of_error(error_of(text), text) == 2
    text = 'a = 1\nb = """x\nc'
    assert line_of_error(error_of(text), text) == 3


words = st.text("abcdefgh", min_size=1, max_size=4)
values = st.one_of(
    st.integers(), st.text("ab[]=#'\n\"", max_size=6), st.lists(st.text('[]=\n"#', max_size=3), max_size=3)
)


@given(st.lists(st.dictionaries(words, values, max_size=3), min_size=1, max_size=4))
def test_what_it_says_is_where_it_was_written(tables):
    rows, expected = [], {}
    for number, table in enumerate(tables):
        rows.append("[[device]]")
        expected["device", number] = len("\n".join(rows).split("\n"))
        for key, value in table.items():
            inside = json.dumps(value)
            text = inside if not isinstance(value, list) else inside.replace(", ", ",\n")
            expected["device", number, key] = len("\n".join(rows).split("\n")) + 1
            rows.append(f"{key} = {text}")
    text = "\n".join(rows) + "\n"
    assert tomllib.loads(text)["device"] == tables
    lines = Lines(text)
    assert {key: lines.of(key) for key in expected} == expected
