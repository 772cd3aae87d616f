"""Parameters of plans: devices by name, values checked by their annotations."""

import functools
import runpy
from pathlib import Path
from typing import Annotated, Literal

import pytest
from bluesky import plan_stubs as bps
from bluesky.protocols import Movable
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import Device
from ophyd_async.sim import SimMotor
from pydantic import Field

from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.frames import Camera
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import bind, parameters
from rdaq_ophyd.wire import error_from, error_message


def plan(
    x: SimMotor,
    num: Annotated[int, Field(ge=2, le=100, description="points, 2 to 100")],
    step: Annotated[float, Field(allow_inf_nan=False)] = 0.1,
    mode: Literal["up", "down"] = "up",
):
    """A plan."""
    yield from bps.null()
    return (x, num, step, mode)


@pytest.fixture
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


def result(generator):
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        return stop.value


def test_devices_come_by_name_and_strings_are_parsed(rig):
    x, num, step, mode = result(bind(plan, rig, {"num": "7", "step": "0.5", "mode": "down"}))
    assert x is rig["x"]
    assert (num, step, mode) == (7, 0.5, "down")


def test_what_the_signature_says():
    x, num, step, _ = parameters(plan)
    assert x.is_device
    assert num.required
    assert num.help == "points, 2 to 100"
    assert not step.required


@pytest.mark.parametrize("bad", [{"num": "1"}, {"num": "x"}, {"num": 3, "step": "nan"}, {"num": 3, "mode": "left"}])
def test_bad_values_name_parameter_and_value(rig, bad):
    name, value = list(bad.items())[-1]
    with pytest.raises(LimitError, match=f"{name} = '?{value}"):
        bind(plan, rig, bad)


def test_unknown_parameters_missing_values_and_wrong_devices(rig):
    with pytest.raises(UnknownName, match="did you mean num"):
        bind(plan, rig, {"nun": 3})
    with pytest.raises(RdaqError, match="num has no value.*--num"):
        bind(plan, rig, {})
    with pytest.raises(RdaqError, match="other is a Device; x needs SimMotor"):
        bind(plan, rig, {"x": "other", "num": 3})
    with pytest.raises(UnknownName, match="unknown device"):
        bind(plan, rig, {"x": "xx", "num": 3})


def test_any_number_of_devices(rig):
    def several(*axes: Device, num: int = 1):
        yield from bps.null()
        return axes, num

    assert result(bind(several, rig, {"axes": "x,other", "num": "2"})) == ((rig["x"], rig["other"]), 2)
    assert parameters(several)[0].many


def test_a_script_gives_default_devices_to_a_library_plan(rig):
    def scan(stage: SimMotor, num: int = 1):
        yield from bps.null()
        return stage, num

    script = functools.partial(scan, stage="x")
    assert parameters(script)[0].device == "x"
    assert result(bind(script, rig, {"num": "3"})) == (rig["x"], 3)
    with pytest.raises(UnknownName):
        bind(scan, rig, {})


def test_a_device_that_may_be_left_out(rig):
    def scan(x: SimMotor, into: Movable[float] | None = None):
        yield from bps.null()
        return x, into

    assert parameters(scan)[1].is_device
    assert result(bind(scan, rig, {})) == (rig["x"], None)
    assert result(bind(scan, rig, {"into": "x"})) == (rig["x"], rig["x"])
    with pytest.raises(RdaqError, match="into needs Movable.*--into: x"):
        bind(scan, rig, {"into": "other"})


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "plans").glob("*.py")), ids=lambda path: path.stem)
def test_positions_of_scripts_say_whose_units_they_have(path):
    """What the help says in words ("in x's units") a form is told, too: it checks limits before anything is sent."""
    found = parameters(runpy.run_path(str(path))["plan"])
    names = {parameter.name for parameter in found}
    for parameter in found:
        if "'s units" in parameter.help:
            schema = parameter.schema()
            assert {schema.get("position_of"), schema.get("units_of")} & names, parameter.name


def test_what_a_form_needs_is_told(rig):
    class Own:
        pass

    def measure(
        axis: Movable[float],
        to: Annotated[float, Field(gt=0, json_schema_extra={"position_of": "axis"})],
        mode: Literal["up", "down"] = "up",
        names: list[str] | None = None,
        own: Own | None = None,
    ):
        yield from bps.null()
        return axis, to, mode, names, own

    rig.calibration.add("zero", 1.0, units="mm")
    axis, to, mode, names, own = parameters(measure)
    assert axis.fitting(rig) == ["x", "calibration.zero"]
    assert to.schema() == {"type": "number", "exclusiveMinimum": 0, "position_of": "axis"}
    assert mode.schema() == {"type": "string", "enum": ["up", "down"], "default": "up"}
    assert names.schema()["anyOf"][0] == {"type": "array", "items": {"type": "string"}}
    assert own.schema() == {}


@pytest.mark.parametrize(
    ("given", "about"),
    [({"num": "1"}, "num"), ({}, "num"), ({"num": 3, "x": "xx"}, "x"), ({"num": 3, "x": "other"}, "x"), ({"n": 1}, "")],
)
def test_an_error_knows_which_parameter_it_is_about(rig, given, about):
    with pytest.raises(RdaqError) as caught:
        bind(plan, rig, given)
    assert caught.value.about == about
    assert error_from(error_message(caught.value)).about == about


def test_untyped_parameters_are_refused():
    def loose(x, *rest):
        yield

    with pytest.raises(RdaqError, match="parameter x has no type"):
        parameters(loose)


@given(st.one_of(st.text(), st.floats(), st.integers()))
def test_whatever_is_given_is_parsed_or_refused(value):
    num = parameters(plan)[1]
    try:
        assert 2 <= num.value(value) <= 100
    except LimitError as error:
        assert "num" in str(error)


def test_library_plans_are_described():
    from rdaq_ophyd import plans

    for name in plans.__all__:
        for p in parameters(getattr(plans, name)):
            assert p.is_device or p.help, f"{name}: {p.name} has no description"
    assert parameters(plans.fly_stack)[0].annotation is Camera
