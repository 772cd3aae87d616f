"""On which line of a TOML document each of its keys stands."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.toml_lines import Lines, line_of, line_of_error

DOCUMENT = '''# {not} = [a, table]
format = 1 # [x]

[a.b]
c = """
d = 1
\\""" """
'e f'.g = { h = 1, i = [ "x]", '}' ], j = { k = 2 } }
"l\\u0041" = [ # comment ]
  1,
  { m = """
q""", n = 3 },
]
[[list]]
x = 1
[[list]]
y = \'\'\'it\'s'\'\'\'
z = "a \\" = b"
[list.sub]
w = 1979-05-27T07:32:00Z
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("format",), 2),
        (("a",), 4),
        (("a", "b", "c"), 5),
        (("a", "b", "e f", "g"), 8),
        (("a", "b", "e f", "g", "i", 1), 8),
        (("a", "b", "e f", "g", "j", "k"), 8),
        (("a", "b", "lA"), 9),
        (("a", "b", "lA", 0), 10),
        (("a", "b", "lA", 1, "n"), 12),
        (("list", 0, "x"), 15),
        (("list", 1), 16),
        (("list", 1, "y"), 17),
        (("list", 1, "z"), 18),
        (("list", 1, "sub", "w"), 20),
        (("list", 1, "missing"), 16),
        (("nothing",), 1),
    ],
)
def test_the_line_of_a_key(path, line):
    assert Lines(DOCUMENT).of(path) == line


def test_what_a_validator_puts_into_a_path_is_left_out():
    lines = Lines(DOCUMENT)
    assert lines.written(("list", 0, "str", "x", "int", "missing")) == ("list", 0, "x")
    assert lines.written(("nothing",)) == ()
    assert line_of(DOCUMENT, ("list", "Inner", 1, "z")) == 18


def error_of(text):
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    return error.value


def test_the_line_where_the_parser_gave_up():
    text = 'a = 1\nb = "x\nc = 2\n'
    assert line_of_error(error_of(text), text) == 2
    text = 'a = 1\nb = """x\nc\n'
    assert line_of_error(error_of(text), text) == 3


@st.composite
def documents(draw):  # noqa: C901  a list of cases
    """A TOML document of ours, and the line of each of its keys."""
    lines: list[str] = []
    where: dict[tuple, int] = {}
    table: tuple = ()
    for i in range(draw(st.integers(1, 8))):
        lines += draw(st.lists(st.sampled_from(["", "# [no] = table", "  # x = 1"]), max_size=2))
        kind = draw(st.sampled_from(["table", "array", "key", "long", "list", "inline", "quoted"]))
        if kind == "table":
            table = (f"t{i}", "u")
            lines.append(f"[t{i}.u] # here")
            where[table] = len(lines)
        elif kind == "array":
            for n in range(2):
                table = (f"a{i}", n)
                lines.append(f"[[a{i}]]")
                where[table] = len(lines)
        elif kind == "key":
            lines.append(f"k{i} = {draw(st.sampled_from(['1', 'true', '1e3', '2020-01-01', '[]', '{}']))}")
            where[(*table, f"k{i}")] = len(lines)
        elif kind == "long":
            quote = draw(st.sampled_from(['"""', "'''"]))
            lines.append(f"k{i} = {quote}")
            where[(*table, f"k{i}")] = len(lines)
            lines += ["[not.a.table]", "x = 1", f"it's {quote}"]
        elif kind == "list":
            lines.append(f"k{i} = [")
            where[(*table, f"k{i}")] = len(lines)
            for n in range(draw(st.integers(0, 3))):
                lines.append(f"  'a]',{draw(st.sampled_from(['', ' # , ]']))}")
                where[(*table, f"k{i}", n)] = len(lines)
            lines.append("]")
        elif kind == "inline":
            lines.append(f"k{i} = {{ a = 1, b.c = '}}', d = [{{ e = 2 }}] }}")
            for path in ((), ("a",), ("b", "c"), ("d", 0, "e")):
                where[(*table, f"k{i}", *path)] = len(lines)
        else:
            lines.append(f'"q {i}".\'r.s\' = "\\" = 1"')
            where[(*table, f"q {i}", "r.s")] = len(lines)
    return "\n".join(lines), where


@given(documents())
def test_lines_of_keys_in_any_document(made):
    document, where = made
    tomllib.loads(document)
    lines = Lines(document)
    for path, line in where.items():
        assert lines.of(path) == line
