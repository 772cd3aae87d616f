"""Templates render what patterns read; a mutated file is refused with its line, never by a crash."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.declaration import Answer, Expression, ExpressionError, Pattern, Signal, parse, shipped
from rdaq_ophyd.devices._declared_read import native, reader, written
from rdaq_ophyd.errors import DeclarationError
from rdaq_ophyd.sim import SimDeclared
from rdaq_ophyd.sim._declared_lines import split_line

FILES = {name: path.read_text() for name, path in shipped().items()}
WORDS = st.text(st.characters(categories=["L", "N"], max_codepoint=127), min_size=1, max_size=6)
LITERALS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="{},"), max_size=8)


@given(before=LITERALS, value=st.floats(-1e6, 1e6), digits=st.integers(0, 9), after=LITERALS)
def test_a_number_that_is_told_is_understood(before, value, digits, after):
    # A digit, sign or point beside the place would belong to the number.
    before, after = f"{before}<", f">{after}"
    text = f"{before}{{value:.{digits}f}}{after}".format(value=value)
    understood = Pattern(f"{before}{{value:float}}{after}").match(text)
    assert understood == {"value": float(f"{value:.{digits}f}")}


@given(
    value=st.floats(-1e300, 1e300),
    digits=st.integers(0, 12),
    kind=st.sampled_from("efgEG"),
    sign=st.sampled_from(["", "+"]),
)
def test_a_number_that_is_answered_is_read(value, digits, kind, sign):
    spec = f"{sign}.{digits}{kind}"
    said = Answer(f"{{x:{spec}}}")({"x": value})
    assert reader(Signal(ask="x"), float)(said) == float(format(value, spec))


@given(st.dictionaries(WORDS, WORDS, min_size=1, max_size=5))
def test_codes_go_both_ways(codes):
    codes = {value: text for text, value in {text: value for value, text in codes.items()}.items()}
    signal = Signal(type="enum", ask="x", tell="{value}", codes=codes)
    wire, read = written(signal, str), reader(signal, str)
    for value in codes:
        assert read(wire[native(signal, str, value)]) == value


@given(st.lists(LITERALS.filter(lambda text: text.strip()), min_size=1, max_size=5), st.integers(1, 5))
def test_a_field_of_a_list_is_that_field(parts, number):
    read = reader(Signal(type="str", ask="x", field=number), str)
    if number <= len(parts):
        assert read(",".join(parts)) == parts[number - 1].strip()
    else:
        with pytest.raises(ValueError, match="at least"):
            read(",".join(parts))


@given(st.text(max_size=60))
def test_an_expression_has_a_value_or_an_error_of_ours(text):
    with contextlib.suppress(ExpressionError):
        Expression(text)({"a": 1, "b": 2.0})


@given(st.lists(st.text("ABab:*? 1", max_size=9), max_size=4), st.sampled_from("'\""), st.text("ab;'\" ", max_size=5))
def test_commands_on_a_line_are_what_stands_between_separators(parts, quote, quoted):
    text = quote + quoted.replace(quote, "") + quote
    commands = split_line(";".join([*parts, "X" + text]), scpi=False, separator=";")
    assert commands == [part.strip() for part in parts if part.strip()] + ["X" + text]


@given(st.lists(st.sampled_from([":A:B 1", ":A:C:D?", "*CLS", "E 2", "  ", ":F"]), max_size=6))
def test_a_command_without_a_colon_goes_on_where_the_one_before_was(parts):
    commands = split_line(";".join(parts), scpi=True, separator="")
    assert len(commands) == sum(1 for part in parts if part.strip())
    path = ""
    for part, command in zip([p for p in parts if p.strip()], commands, strict=True):
        assert command == (path + part if part == "E 2" else part)
        if not command.startswith("*"):
            path = command.split(" ")[0].rpartition(":")[0] + ":" if ":" in command else ""


mutations = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["delete", "double", "swap", "insert", "cut"]), st.text(max_size=3)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(FILES)), changes=mutations, by_line=st.booleans())
def test_a_mutated_file_is_taken_or_refused_with_its_line(name, changes, by_line):
    units = FILES[name].splitlines(keepends=True) if by_line else list(FILES[name])
    for place, how, text in changes:
        at = int(place * (len(units) - 1)) if units else 0
        match how:
            case "delete":
                del units[at : at + 1]
            case "double":
                units[at:at] = units[at : at + 1]
            case "swap":
                units[at : at + 2] = reversed(units[at : at + 2])
            case "insert":
                units.insert(at, text)
            case "cut":
                units = units[: max(at, 1)]
    document = "".join(units)
    try:
        declaration = parse(document, "mutated.toml")
    except DeclarationError as error:
        head, _, rest = str(error).removeprefix("mutated.toml:").partition(":")
        assert head.isdigit(), str(error)
        assert 1 <= int(head) <= document.count("\n") + 1
        assert rest.strip()
    else:
        if declaration.sim is not None:
            sim = SimDeclared(declaration)
            sim.feed(b"*IDN?\r\nnonsense\r\n", 0.0)
            sim.advance(10.0)


def test_the_shipped_files_are_in_the_package():
    assert all(path.parent == Path(shipped()[name]).parent for name, path in shipped().items())
