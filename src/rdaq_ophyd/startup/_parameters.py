"""A plan's parameters as its signature tells them: devices by name, values checked by their annotations.

A parameter annotated with a device class or a capability is a device: the rig's device of that name, or the one
whose name is given. All others are values, checked by pydantic against their annotation, so that
``num: Annotated[int, Field(ge=2, description="points")]`` is limit, check and help text in one.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from bluesky.utils import MsgGenerator
from ophyd_async.core import Device
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.rig import Rig

__all__ = ["Parameter", "Plan", "bind", "function_of", "parameters"]

type Plan = Callable[..., MsgGenerator[Any]]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a plan."""

    name: str
    annotation: Any
    default: Any
    is_device: bool
    help: str
    many: bool = False  # *args: any number of devices, given as x,y

    @property
    def required(self) -> bool:
        """Whether a value must be given; a device has its own name as default."""
        return self.default is inspect.Parameter.empty

    @property
    def device(self) -> str | None:
        """Name of the device taken when none is given: the default, else the parameter's own name; None for none."""
        if self.default is None:
            return None
        return self.default if isinstance(self.default, str) else self.name

    @property
    def wanted(self) -> Any:
        """The class or capability that a device has to have."""
        return _wanted(_bare(self.annotation)[0])

    def takes(self, device: Any) -> bool:
        """Whether a device is of the class, or has the capability."""
        try:
            return isinstance(device, self.wanted)
        except TypeError:  # a Protocol that is not runtime-checkable cannot say
            return True

    def value(self, given: Any) -> Any:
        """The value, parsed from a string where one is given and checked.

        :raises LimitError: naming parameter, value and what is allowed.
        """
        try:
            return TypeAdapter(self.annotation).validate_python(given)
        except ValidationError as error:
            causes = "; ".join(e["msg"].lower() for e in error.errors())
            raise LimitError(f"{self.name} = {given!r}: {causes}", hint=self.help or "see the plan's --help") from error

    def schema(self) -> dict[str, Any]:
        """JSON Schema of its values, with the default; without a ``type`` where only Python can give them.

        Besides what pydantic says, its annotation may give ``units``, or name another parameter whose device has them:
        ``units_of`` for a distance, ``position_of`` for a position, which has the limits of that device too.
        """
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self.annotation)
            found = adapter.json_schema()
        except PydanticUserError:  # of a class of one's own
            return {}
        return found if self.required else {**found, "default": adapter.dump_python(self.default, mode="json")}

    def fitting(self, rig: Rig) -> list[str]:
        """Names of what it takes in a rig: devices, then values of the calibration."""
        values = {f"{rig.calibration.name}.{name}": value for name, value in rig.calibration.children()}
        return [name for name, device in {**rig.devices, **values}.items() if self.takes(device)]


def _wanted(annotation: Any) -> Any:
    """The class of an annotation, of an optional one (``Movable[float] | None``) too."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not types.NoneType]
        annotation = rest[0] if len(rest) == 1 else annotation
    return get_origin(annotation) or annotation


def _is_device(annotation: Any) -> bool:
    """A device class, or a capability (a Protocol)."""
    plain = _wanted(annotation)
    return isinstance(plain, type) and (issubclass(plain, Device) or getattr(plain, "_is_protocol", False))


def _bare(annotation: Any) -> tuple[Any, str]:
    """Annotation without ``Annotated``, and its description."""
    if get_origin(annotation) is not Annotated:
        return annotation, ""
    bare, *extras = get_args(annotation)
    return bare, next((e.description for e in extras if isinstance(e, FieldInfo) and e.description), "")


def function_of(plan: Plan) -> Plan:
    """The function behind a ``functools.partial``, which a script uses to give defaults to a library plan."""
    return plan.func if isinstance(plan, functools.partial) else plan


def parameters(plan: Plan) -> list[Parameter]:
    """All parameters of a plan, in order (``**kwargs`` and untyped ones are refused, and ``*args`` of values)."""
    hints = typing.get_type_hints(function_of(plan), include_extras=True)
    found = []
    for p in inspect.signature(plan).parameters.values():
        bare, text = _bare(hints.get(p.name))
        many = p.kind is p.VAR_POSITIONAL
        if p.name not in hints or p.kind is p.VAR_KEYWORD or (many and not _is_device(bare)):
            name = getattr(function_of(plan), "__name__", plan)
            raise RdaqError(f"plan {name}: parameter {p.name} has no type", hint="annotate each parameter by name")
        found.append(Parameter(p.name, hints[p.name], p.default, _is_device(bare), text, many))
    return found


def bind(plan: Plan, rig: Rig, given: Mapping[str, Any]) -> MsgGenerator[Any]:
    """Call the plan with the rig's devices and the given values (strings are parsed).

    :raises UnknownName: for a parameter or device that does not exist, with the nearest names.
    :raises LimitError: for a value that its annotation does not allow.
    """
    known = {p.name: p for p in parameters(plan)}
    for name in given:
        if name not in known:
            raise UnknownName.among("parameter", name, known)
    arguments: dict[str, Any] = {}
    for p in known.values():
        try:
            if p.is_device or p.name in given:
                arguments[p.name] = _argument(p, rig, given)
            elif p.required:
                raise RdaqError(f"parameter {p.name} has no value", hint=f"give --{p.name.replace('_', '-')}: {p.help}")
        except RdaqError as error:
            error.about = p.name
            raise
    bound = inspect.BoundArguments(inspect.signature(plan), arguments)
    return plan(*bound.args, **bound.kwargs)


def _argument(p: Parameter, rig: Rig, given: Mapping[str, Any]) -> Any:
    if p.is_device and p.required and p.name not in given and p.name not in rig.devices | rig.failures:
        fitting = ", ".join(p.fitting(rig)) or "this rig has none"
        raise UnknownName(
            f"no device was given for {p.name}", hint=f"give --{p.name.replace('_', '-')}, of those that fit: {fitting}"
        )
    if p.many:
        names = given.get(p.name, p.name)
        return tuple(_device(p, rig, n) for n in (names.split(",") if isinstance(names, str) else names))
    if not p.is_device:
        return p.value(given[p.name])
    if p.default is None and given.get(p.name) is None:
        return None
    return _device(p, rig, given.get(p.name, p.device))


def _device(parameter: Parameter, rig: Rig, given: Any) -> Device:
    device = rig[given] if isinstance(given, str) else given
    if not parameter.takes(device):
        others = ", ".join(name for name, other in rig.devices.items() if parameter.takes(other)) or "none fits"
        raise RdaqError(
            f"{given} is a {type(device).__name__}; {parameter.name} needs {parameter.wanted.__name__}",
            hint=f"choose another device for --{parameter.name.replace('_', '-')}: {others}",
        )
    return typing.cast(Device, device)
