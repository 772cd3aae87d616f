"""From the description of a device in a TOML profile to its factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ophyd_async.core import Device

from rdaq_ophyd.devices.calibrated import CalibratedAxis
from rdaq_ophyd.errors import DeclarationError, LimitError, ProfileError, RdaqError, UnknownName
from rdaq_ophyd.toml_lines import Key

from ._classes import declared_class, device_class
from ._options import OptionError, Signature
from ._rig import Rig
from ._toml_schema import DeviceTable

type Descriptions = Mapping[str, Description]


@dataclass(frozen=True)
class Description:
    """A device as the file has it.

    :param key: of its table in the file.
    :param table: the same, environment variables filled in.
    """

    key: Key
    table: DeviceTable


class Complain(Protocol):
    """Makes the error about a value of the file."""

    def __call__(self, key: Key, what: str, hint: str = "") -> ProfileError:
        """``key`` is the value's place in the file."""
        ...


def add_device(rig: Rig, one: Description, every: Descriptions, complain: Complain, folder: Path) -> None:
    """Give the rig a factory for the device.

    :param every: all devices of the profile, by name.
    :param folder: of the profile.
    :raises ProfileError: with file and line of what is wrong in the description.
    """
    table = one.table
    place = str(complain(one.key, ""))[: -len(": ")]
    if table.part_of is not None:
        whole = every[table.part_of]
        rig.add(table.name, _part(one, whole, complain), needs=[table.part_of], place=place)
    elif table.calibrates is not None:
        rig.add(table.name, _calibrated(rig, one, complain), needs=[table.calibrates], place=place)
    else:
        cls = _class(one, complain, folder)
        signature = Signature(cls)
        arguments = _arguments(one, every, signature, complain)
        services = signature.services

        def make(**needed: Any) -> Device:
            try:
                return cls(**arguments, **{name: needed[service] for name, service in services.items()})
            except ProfileError:
                raise
            except RdaqError as error:
                error.what = f"{_place(one, error, complain)}{error.what}"
                raise
            except (TypeError, ValueError, NameError) as error:
                what = f"{_place(one, error, complain)}{table.name}: {error}"
                raise RdaqError(what, hint=f"mend the description of {table.name}") from error

        rig.add(table.name, make, needs=sorted(set(services.values())), place=place)


def _place(one: Description, error: Exception, complain: Complain) -> str:
    """``file:line: `` of what the class refused: where a key is what is wrong, its own."""
    if isinstance(error, DeclarationError) and one.table.safe:
        return str(complain((*one.key, "safe"), ""))
    given = one.table.limits is not None and isinstance(error, LimitError | UnknownName)
    return str(complain((*one.key, "limits") if given else one.key, ""))


def _class(one: Description, complain: Complain, folder: Path) -> type[Device]:
    table = one.table
    try:
        if table.class_ is not None:
            return device_class(table.class_)
        return declared_class(str(table.declared), folder)
    except RdaqError as error:
        key = (*one.key, "class" if table.class_ is not None else "declared")
        raise complain(key, f"{table.name}: {error.what}", error.hint) from error


def _arguments(one: Description, every: Descriptions, signature: Signature, complain: Complain) -> dict[str, Any]:
    table = one.table
    options = dict(table.options)
    # A driver's options say what a stop may do; what makes a declared instrument safe is one option.
    safe = {"safe": table.safe} if table.declared is not None and table.safe else table.safe
    for where, more in (("limits", {} if table.limits is None else {"limits": table.limits}), ("safe", safe)):
        if twice := sorted(set(options) & set(more)):
            raise complain((*one.key, where), f"{table.name}: {twice[0]} is given twice", "keep one of them")
        options |= more
    _gather_parts(one, every, signature, options, complain)
    try:
        arguments = signature.check(options)
    except OptionError as error:
        raise complain(_key_of(one, error.key), f"{table.name}: {error.what}", error.hint) from error
    for name in ("link", "address"):
        if (value := getattr(table, name)) is None:
            continue
        if name not in signature.parameters:
            hint = f"it takes: {', '.join(signature.parameters)}"
            raise complain((*one.key, name), f"{table.name}: {signature.name} has no {name}", hint)
        arguments[name] = value
    if missing := next(signature.missing(arguments), None):
        wanted = missing if missing in ("link", "address") else f"options.{missing}"
        hint = f"add {wanted}" + (", or a device with part_of and axis" if missing == signature.parts else "")
        raise complain(one.key, f"{table.name}: {signature.name} needs {wanted}", hint)
    return arguments


def _gather_parts(
    one: Description, every: Descriptions, signature: Signature, options: dict[str, Any], complain: Complain
) -> None:
    """What the profile says of the parts is told to the whole: it makes them."""
    parts = [p for p in every.values() if p.table.part_of == one.table.name and p.table.axis is not None]
    if parts and signature.parts is None:
        hint = "give part, the name of the part"
        raise complain((*parts[0].key, "axis"), f"{one.table.name} ({signature.name}) has no numbered parts", hint)
    named = signature.parts is not None and signature.parts in options
    taken: dict[str, str] = {}
    for part in parts:
        number = str(part.table.axis)
        if (other := taken.setdefault(number, part.table.name)) != part.table.name:
            raise complain(
                (*part.key, "axis"), f"axis {number} of {one.table.name} is {other} already", "give it one name"
            )
        if not named and signature.parts is not None:
            options.setdefault(signature.parts, {})[number] = part.table.name
        if part.table.limits is not None:
            limits = options.setdefault("limits", {})
            if not isinstance(limits, dict) or number in limits:
                raise complain((*part.key, "limits"), f"limits of axis {number} are given twice", "keep one of them")
            options["limits"] = {**limits, number: part.table.limits}
        for name, value in part.table.safe.items():
            if not isinstance(value, bool):
                raise complain((*part.key, "safe", name), f"{name} = {value!r}: of a part, true or false is needed")
            if value:
                options[name] = [*options.get(name, []), part.table.axis]


def _key_of(one: Description, inside: tuple[str, ...]) -> Key:
    name = inside[0] if inside else ""
    if (name == "limits" and one.table.limits is not None) or (name == "safe" and one.table.declared is not None):
        return (*one.key, *inside)
    return (*one.key, "safe" if name in one.table.safe else "options", *inside)


def _part(one: Description, whole: Description, complain: Complain) -> Callable[..., Device]:
    table = one.table
    if (table.axis is None) == (table.part is None):
        hint = "axis = 1, or part = its name"
        raise complain(one.key, f"{table.name}: give one of axis and part of {table.part_of}", hint)
    if table.part is not None and (table.limits is not None or table.safe):
        hint = f"give them to {table.part_of}"
        raise complain(one.key, f"{table.name}: limits and safe are for parts with an axis", hint)
    if whole.table.class_ is None and whole.table.declared is None and table.axis is not None:
        raise complain((*one.key, "part_of"), f"{table.part_of} has no numbered parts", "give part, its name")

    def make(**needed: Any) -> Device:
        (device,) = needed.values()
        if table.part is not None:
            return _child(device, table.part, one, complain)
        return _child(device, _name_of_axis(one, whole, complain), one, complain)

    return make


def _name_of_axis(one: Description, whole: Description, complain: Complain) -> str:
    """The whole's own name of the part."""
    named = [value for value in whole.table.options.values() if isinstance(value, dict)]
    number = str(one.table.axis)
    for names in named:
        if isinstance(name := names.get(number), str):
            return name
    if any(all(isinstance(name, str) for name in names.values()) and names for names in named):
        known = ", ".join(sorted({n for names in named for n in names}))
        raise complain((*one.key, "axis"), f"{one.table.part_of} has no axis {number}", f"its axes: {known}")
    return one.table.name


def _child(device: Device, path: str, one: Description, complain: Complain) -> Device:
    found = device
    for name in path.split("."):
        children = dict(found.children())
        if name not in children:
            guess = UnknownName.among(f"part of {one.table.part_of}", name, children)
            raise complain(one.key, f"{one.table.name}: {guess.what}", guess.hint)
        found = children[name]
    return found


def _calibrated(rig: Rig, one: Description, complain: Complain) -> Callable[..., Device]:
    table = one.table
    for which in ("zero", "scale"):
        name = getattr(table, which)
        if name is not None and name not in rig.calibration.names:
            guess = UnknownName.among("calibration", name, rig.calibration.names)
            raise complain((*one.key, which), f"{table.name}: {guess.what}", guess.hint)
    if table.zero is None and table.scale is None:
        raise complain(one.key, f"{table.name}: neither zero nor scale is given", "name a calibration of this profile")

    def make(**needed: Any) -> Device:
        (axis,) = needed.values()
        try:
            return CalibratedAxis(axis, rig.calibration, zero=table.zero, scale=table.scale, units=table.units)
        except LimitError as error:
            raise complain(one.key, f"{table.name}: {error.what}", error.hint) from error

    return make
