"""The device class that a TOML profile names: ``esp300``, or ``rdaq_ophyd.devices.esp300.Esp300``, or a lab's own."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from ophyd_async.core import Device

from rdaq_ophyd import devices
from rdaq_ophyd.errors import ProfileError, RdaqError, UnknownName

NO_INSTRUMENTS = {"calibration", "calibrated", "declared"}
"""Modules of ``rdaq_ophyd.devices`` that have keys of their own in a profile."""


def short_names() -> list[str]:
    """Names of the shipped drivers: those of their modules."""
    found = (module.name for module in pkgutil.iter_modules(devices.__path__))
    return sorted(name for name in found if not name.startswith("_") and name not in NO_INSTRUMENTS)


def device_class(name: str) -> type[Device]:
    """The class with a short or a dotted name.

    :raises UnknownName: there is none; with the nearest names.
    :raises ProfileError: it cannot be imported, or is no device.
    """
    if "." not in name:
        if name not in short_names():
            raise UnknownName.among("device class", name, short_names(), hint="(or give module.Class)")
        return _main_class(name)
    if not all(part.isidentifier() for part in name.split(".")):
        raise UnknownName(f"{name!r} is no name of a class", hint="write module.Class, such as mylab.stages.Stage")
    module_name, _, class_name = name.rpartition(".")
    module = _import(module_name)
    if not hasattr(module, class_name):
        raise UnknownName.among(f"class of {module_name}", class_name, _classes(module))
    found = getattr(module, class_name)
    if not (isinstance(found, type) and issubclass(found, Device)):
        raise ProfileError(f"{name} is no device class", hint="name a subclass of ophyd_async.core.Device")
    return found


def _main_class(name: str) -> type[Device]:
    """The device that a driver's module is about: named like it, or beginning or ending so."""
    module = _import(f"{devices.__name__}.{name}")
    wanted = name.replace("_", "")
    named = _classes(module)
    for rule in (str.__eq__, str.startswith, str.endswith):
        fitting = [found for label, found in named.items() if rule(label.casefold(), wanted)]
        if len(fitting) == 1:
            return fitting[0]
    full = ", ".join(f"{module.__name__}.{label}" for label in named)
    raise UnknownName(f"{name} does not say which of its devices is meant", hint=f"write one of: {full}")


def _classes(module: Any) -> dict[str, type[Device]]:
    public = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    found = {name: getattr(module, name) for name in public}
    return {name: c for name, c in found.items() if isinstance(c, type) and issubclass(c, Device)}


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ProfileError(
            f"{name} cannot be imported: {error}", hint="is the name right, and the package installed?"
        ) from error


def declared_class(name: str, folder: Path) -> type[Device]:
    """The class of a declared instrument, by the name of a shipped one or by its file.

    :param folder: of the profile; paths are relative to it.
    :raises ProfileError: this installation has no declared instruments.
    """
    try:
        module = importlib.import_module(f"{devices.__name__}.declared")
    except ModuleNotFoundError as error:
        if error.name != f"{devices.__name__}.declared":
            raise
        raise ProfileError(
            f"declared = {name!r}: this version of rdaq-ophyd has no declared instruments",
            hint="update rdaq-ophyd, or give a class",
        ) from error
    path = folder / Path(name).expanduser()
    is_file = name.endswith(".toml")
    if is_file and not path.is_file():
        raise RdaqError(f"declared = {name!r}: no file {path}", hint="give a path relative to the profile")
    found: type[Device] = module.declared(str(path) if is_file else name)
    return found
