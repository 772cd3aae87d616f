"""A plan's arguments on the command line, as items for the queue."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.queue._arguments import plan_item

PLACE, MANY, NAMED = (
    {"name": str(kind.name), "value": int(kind)}
    for kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
    )
)


def parameter(name: str, kind: dict[str, Any], annotation: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, **({"annotation": {"type": annotation}} if annotation else {}), **more}


KNIFE_EDGE = {
    "description": "Scan a blade.\n\nSlowly.",
    "parameters": [
        parameter("stage", PLACE, "Movable"),
        parameter("num", PLACE, "int", default="41", description="number of points: 100 %"),
        parameter("why_not", PLACE, "str", default="''"),
        parameter("light", NAMED, "typing.Optional[ShutterControl]", default="None"),
    ],
}
SCAN = {
    "parameters": [
        parameter("detectors", PLACE, "typing.List[Readable]"),
        parameter("args", MANY, "typing.Union[Movable, float]"),
        parameter("num", NAMED, "int | None", default="None"),
    ]
}


def item(description: dict[str, Any], *words: str) -> dict[str, Any]:
    made = plan_item("some_plan", description, words, "rdaq queue add some_plan")
    assert made.pop("item_type") == "plan"
    assert made.pop("name") == "some_plan"
    return made


def test_names_numbers_and_texts():
    assert item(KNIFE_EDGE, "--stage", "x") == {"kwargs": {"stage": "x"}}
    assert item(KNIFE_EDGE, "--stage", "x", "--num", "11", "--why-not", "11", "--light", "None") == {
        "kwargs": {"stage": "x", "num": 11, "why_not": "11", "light": None}
    }


def test_lists_and_what_follows_by_place():
    words = ["--detectors", "cam,power_meter", "--args", "x,0,1.5,y,-1,1", "--num", "5"]
    assert item(SCAN, *words) == {
        "args": [["cam", "power_meter"], "x", 0, 1.5, "y", -1, 1],
        "kwargs": {"num": 5},
    }
    assert item(SCAN, "--detectors", '["cam"]') == {"kwargs": {"detectors": ["cam"]}}


@pytest.mark.parametrize("number", ["nan", "NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_not_finite_is_no_number(number):
    if number == "nan":  # a text, which queueserver refuses for a number
        assert item(SCAN, "--detectors", "cam", "--num", number)["kwargs"]["num"] == "nan"
        return
    with pytest.raises(LimitError, match="num = .* is not a finite number"):
        item(SCAN, "--detectors", "cam", f"--num={number}")


def test_what_is_missing_or_unknown_ends_it_with_words(capsys):
    for words, said in ((["--num", "3"], "--stage"), (["--stage", "x", "--nun", "3"], "unrecognized arguments")):
        with pytest.raises(SystemExit) as ended:
            item(KNIFE_EDGE, *words)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        item(KNIFE_EDGE, "--help")
    assert "number of points: 100 %; default: 41" in capsys.readouterr().out


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_numbers_arrive_as_they_were_written(value):
    assert item(SCAN, "--detectors", "cam", f"--num={value}")["kwargs"]["num"] == value
