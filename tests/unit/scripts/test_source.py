"""A script as it arrives: what is none is refused before anything is started."""

import hashlib

import pytest

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.scripts import ScriptLimits, Source

GOOD = b"def plan():\n    yield\n"


@pytest.mark.parametrize("name", ["scan.py", "Scan_2 (copy".replace("(", "") + ".py", "a.b-c.py", "1.py"])
def test_a_script_is_taken(name):
    Source(name, GOOD, ["--num", "3"]).check(ScriptLimits())


@pytest.mark.parametrize(
    "name",
    ["", "scan", "../scan.py", "/etc/x.py", ".hidden.py", "a\nb.py", "-m.py", "a" * 200 + ".py", "ä.py", "a\0.py"],
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(LimitError, match="no name of a script"):
        Source(name, GOOD).check(ScriptLimits())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source("a.py", b" \n"), "a.py is empty"),
        (Source("a.py", b"#" * 101), "a.py: 101 bytes → at most 100"),
        (Source("a.py", b"\xff\xfe"), "a.py is no text"),
        (Source("a.py", GOOD, ["--name", "ä" * 60]), "too long arguments → at most 100"),
    ],
)
def test_what_is_no_script_is_refused(source, said):
    with pytest.raises(LimitError, match=said):
        source.check(ScriptLimits(source=100, arguments=100))


def test_the_record_has_its_hash():
    record = Source("a.py", GOOD, ("--num", "3")).record
    assert record == {"name": "a.py", "sha256": hashlib.sha256(GOOD).hexdigest(), "arguments": ["--num", "3"]}


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["thinking", "memory", "a_minute"])
def test_a_limit_that_is_none_is_refused(name, value):
    with pytest.raises(LimitError, match=f"scripts: {name} = "):
        ScriptLimits(**{name: value})
