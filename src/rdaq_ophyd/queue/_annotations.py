"""A plan's parameters as queueserver describes them: types as text, devices as lists of names, limits as numbers.

See ``bluesky_queueserver.parameter_annotation_decorator`` (0.0.25) for the dictionary that is made here.
"""

from __future__ import annotations

import ast
import inspect
import math
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from ophyd_async.core import Device, Signal
from pydantic.fields import FieldInfo

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import Parameter

__all__ = ["device_names", "literal", "parameter_annotation", "whole_devices"]
PLAIN = {bool: "bool", float: "float", int: "int", str: "str", types.NoneType: "NoneType"}


def parameter_annotation(parameter: Parameter, rig: Rig) -> dict[str, Any]:
    """What queueserver has to know of one parameter.

    :raises RdaqError: the rig has no device for it, or it takes something that no queue can hold.
    """
    found: dict[str, Any] = {"convert_plan_names": False, "convert_device_names": False}
    if parameter.help:
        found["description"] = parameter.help
    if parameter.is_device:
        return found | _devices(parameter, rig)
    bare, extras = _taken_apart(parameter.annotation)
    if bare is Any and parameter.required:
        raise RdaqError(f"{parameter.name} takes what only Python has", hint="run the plan in a shell")
    return found | _type(bare) | dict(_limits(bare, extras))


def device_names(parameter: Parameter, rig: Rig) -> list[str]:
    """The devices that a parameter takes, and their parts, by the names the rig knows; of signals its default alone.

    A rig has hundreds of signals that can be read: a list of them would hide the detectors.
    """
    found = [name for name, device in whole_devices(rig) if parameter.takes(device)]
    default = parameter.device
    if default and default not in found and default.split(".")[0] in rig.devices and parameter.takes(rig[default]):
        found.append(default)
    return found


def whole_devices(rig: Rig) -> Iterator[tuple[str, Any]]:
    """The devices of a rig and their parts, without signals."""
    for name, device in rig.devices.items():
        yield name, device
        yield from _parts(name, device)


def _parts(name: str, device: Any) -> Iterator[tuple[str, Any]]:
    for part, child in device.children() if isinstance(device, Device) else ():
        if not isinstance(child, Signal):
            yield f"{name}.{part}", child
            yield from _parts(f"{name}.{part}", child)


def _devices(parameter: Parameter, rig: Rig) -> dict[str, Any]:
    names, kind = device_names(parameter, rig), parameter.wanted.__name__
    optional = parameter.default is None
    if not names and not optional:
        raise RdaqError(f"{parameter.name} needs a {kind}, and the rig has none", hint="add one to its profile")
    if not names:
        return {"annotation": "NoneType"}
    return {"annotation": f"typing.Optional[{kind}]" if optional else kind, "devices": {kind: names}}


def _taken_apart(annotation: Any) -> tuple[Any, list[Any]]:
    """The type itself, and what else ``Annotated`` says of it."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    bare, *extras = get_args(annotation)
    return bare, [one for extra in extras for one in (extra.metadata if isinstance(extra, FieldInfo) else [extra])]


def _type(bare: Any) -> dict[str, Any]:
    """As text that queueserver can read; nothing for a type that it has no words for: ``bind`` looks at it later."""
    if get_origin(bare) is Literal and all(isinstance(choice, str) for choice in get_args(bare)):
        return {"annotation": "Choice", "enums": {"Choice": list(get_args(bare))}}
    text = _text(bare)
    return {"annotation": text} if text else {}


def _text(bare: Any) -> str:
    if bare in PLAIN:
        return PLAIN[bare]
    origin, inner = get_origin(bare), [_text(_taken_apart(one)[0]) for one in get_args(bare) if one is not ...]
    if not inner or not all(inner):
        return ""
    if origin in (Union, types.UnionType):
        return f"typing.Union[{', '.join(inner)}]"
    if origin in (list, typing.Sequence, typing.get_origin(typing.Sequence[int])):
        return f"typing.List[{inner[0]}]"
    return ""


def _limits(bare: Any, extras: list[Any]) -> Iterator[tuple[str, float]]:
    """``min`` and ``max``, both allowed themselves."""

    def beyond(limit: float, towards: float) -> float:
        return limit + math.copysign(1, towards) if bare is int else math.nextafter(limit, towards)

    for extra in extras:
        match extra:
            case annotated_types.Ge(ge=limit):
                yield "min", typing.cast(float, limit)
            case annotated_types.Gt(gt=limit):
                yield "min", beyond(typing.cast(float, limit), math.inf)
            case annotated_types.Le(le=limit):
                yield "max", typing.cast(float, limit)
            case annotated_types.Lt(lt=limit):
                yield "max", beyond(typing.cast(float, limit), -math.inf)


def literal(default: Any) -> bool:
    """Whether queueserver can keep a default: it writes it down and reads it again."""
    if default is inspect.Parameter.empty:
        return True
    try:
        return bool(ast.literal_eval(repr(default)) == default)
    except (ValueError, SyntaxError):
        return False
