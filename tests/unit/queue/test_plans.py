"""Plans as queueserver sees them: what it refuses when an item is added, and what reaches the plan."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import pytest
from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky_queueserver.manager.profile_ops import existing_plans_and_devices_from_nspace, validate_plan
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import Device
from ophyd_async.sim import SimMotor
from pydantic import Field

from rdaq_ophyd.capabilities import ShutterControl
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.queue._bluesky_plans import bluesky_plans
from rdaq_ophyd.queue._plans import _profile_plans, queue_plan
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import parameters


@pytest.fixture(scope="module")
def rig():
    made = Rig("bench")

    @made.device
    def x() -> SimMotor:
        return SimMotor()

    @made.device
    def other() -> Device:
        return Device()

    made.build()
    return made


def plan(
    x: Movable[float],
    num: Annotated[int, Field(gt=1, lt=100, description="points, 2 to 99")],
    step: Annotated[float, Field(gt=0, le=2.5, allow_inf_nan=False)] = 0.1,
    mode: Literal["up", "down"] = "up",
    also: Readable[Any] | None = None,
    names: list[str] | None = None,
):
    """A plan.

    In two paragraphs.
    """
    yield from bps.null()
    return (x, num, step, mode, also, names)


def many(*axes: Movable[Any]):
    """Axes."""
    yield from bps.null()
    return axes


class Way(enum.Enum):
    UP = "up"


def of_python(inner: Annotated[Any, Field(description="a plan")]):
    yield from inner


def of_a_class(way: Way = Way.UP):
    yield from bps.null()


def in_the_dark(light: ShutterControl | None = None):
    yield from bps.null()


def with_light(light: ShutterControl):
    yield from bps.null()


def described(rig, *plans):
    made = {plan.__name__: queue_plan(plan.__name__, plan, rig) for plan in plans}
    found, *_ = existing_plans_and_devices_from_nspace(nspace={**made, **rig.devices})
    return made, found


def refusal(rig, one, *args, **kwargs):
    _, plans = described(rig, one)
    item = {"name": one.__name__, "args": list(args), "kwargs": kwargs}
    ok, said = validate_plan(item, allowed_plans=plans, allowed_devices=None)
    assert ok == (not said)
    return said


def result(generator):
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        return stop.value


def test_what_clients_are_told(rig):
    _, plans = described(rig, plan)
    x, num, step, mode, also, _ = plans["plan"]["parameters"]
    assert plans["plan"]["description"] == "A plan.\n\nIn two paragraphs."
    assert x["annotation"] == {"type": "Movable", "devices": {"Movable": ["x"]}}
    assert "default" not in x  # `num` has none, and comes after it
    assert (num["min"], num["max"], num["description"]) == ("2", "99", "points, 2 to 99")
    assert (float(step["min"]) > 0, step["max"], step["default"]) == (True, "2.5", "0.1")
    assert mode["annotation"] == {"type": "Choice", "enums": {"Choice": ["up", "down"]}}
    assert also["annotation"] == {"type": "typing.Optional[Readable]", "devices": {"Readable": ["x"]}}


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"x": "y", "num": 3}, "x\n  Input should be 'x'"),
        ({"x": "other", "num": 3}, "x\n  Input should be 'x'"),
        ({"x": "x"}, "missing a required argument: 'num'"),
        ({"x": "x", "num": 1}, "Value 1 is out of range [2, 99]"),
        ({"x": "x", "num": 100}, "Value 100 is out of range [2, 99]"),
        ({"x": "x", "num": 3.5}, "valid integer"),
        ({"x": "x", "num": "3"}, "Incorrect parameter type: key='num'"),
        ({"x": "x", "num": 3, "step": 0}, "Value 0 is out of range"),
        ({"x": "x", "num": 3, "mode": "left"}, "'up' or 'down'"),
        ({"x": "x", "num": 3, "nun": 3}, "unexpected keyword argument 'nun'"),
        ({"x": "x", "num": 3, "names": [1]}, "names"),
    ],
)
def test_what_is_refused_when_it_is_added(rig, kwargs, said):
    assert said in refusal(rig, plan, **kwargs)


def test_what_is_taken(rig):
    assert not refusal(rig, plan, "x", 3)
    assert not refusal(rig, plan, "x", num=99, step=2, mode="down", also="x", names=["a"])
    assert not refusal(rig, many, "x", "x")
    assert refusal(rig, many, "x", "other")


def test_the_plan_gets_devices_and_checked_values(rig):
    made, _ = described(rig, plan, many)
    assert result(made["plan"]("x", 3, also="x")) == (rig["x"], 3, 0.1, "up", rig["x"], None)
    assert result(made["many"]("x", "x")) == (rig["x"], rig["x"])
    with pytest.raises(
        LimitError, match="step = nan"
    ):  # JSON has no such number; Python's client sends it all the same
        next(made["plan"]("x", 3, float("nan")))


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (of_python, "only Python"),
        (of_a_class, "Way.UP.*cannot be written down"),
        (with_light, "light needs a ShutterControl, and the rig has none"),
    ],
)
def test_what_no_queue_can_hold_is_left_out(rig, one, why):
    with pytest.raises(RdaqError, match=why):
        queue_plan("one", one, rig)


def test_an_optional_device_that_the_rig_has_not_is_none(rig):
    assert not refusal(rig, in_the_dark)
    assert not refusal(rig, in_the_dark, light=None)
    assert refusal(rig, in_the_dark, light="x")


@given(st.integers(-5, 105))
def test_what_is_added_is_what_the_plan_takes(num):
    rig = Rig("bench")

    @rig.device
    def x() -> SimMotor:
        return SimMotor()

    rig.build()
    (_, parameter, *_rest) = parameters(plan)
    try:
        parameter.value(num)
        allowed = True
    except LimitError:
        allowed = False
    assert allowed == (not refusal(rig, plan, "x", num))


def test_blueskys_plans_know_the_devices_of_the_rig(rig):
    plans = bluesky_plans(rig)
    assert {"count", "scan", "rel_scan", "grid_scan", "list_scan", "mv", "mvr", "sleep"} <= plans.keys()
    assert {"scan_nd", "relative_scan", "tweak"}.isdisjoint(plans)  # of Python; another name of it; asks a person
    found, *_ = existing_plans_and_devices_from_nspace(nspace={**plans, **rig.devices}, ignore_invalid_plans=True)

    def taken(name, *args):
        return validate_plan({"name": name, "args": list(args)}, allowed_plans=found, allowed_devices=None)[0]

    assert taken("count", ["x"], 3)
    assert not taken("count", ["other"], 3)
    assert taken("scan", ["x"], "x", 0, 1.5, 3)
    assert not taken("scan", ["x"], "y", 0, 1.5, 3)
    assert taken("mv", "x", 1)
    for bad in (("x",), ("x", "x", 1), ()):
        with pytest.raises(RdaqError, match="axes and positions in turn"):
            next(plans["mv"](*(rig[word] if word == "x" else word for word in bad)))


def test_a_profile_may_have_plans_of_its_own(tmp_path):
    from rdaq_ophyd.profile import load_module

    path = tmp_path / "mine.py"
    path.write_text(
        "from collections.abc import Iterator\nfrom bluesky import plan_stubs as bps\n"
        "from bluesky.utils import MsgGenerator\nfrom rdaq_ophyd.plans import enable\n"
        "def mine() -> MsgGenerator[None]:\n    yield from bps.null()\n"
        "def _hidden() -> MsgGenerator[None]:\n    yield from bps.null()\n"
        "def a_resource() -> Iterator[int]:\n    yield 1\n"
    )
    load_module(path)
    assert list(_profile_plans(path)) == ["mine"]
