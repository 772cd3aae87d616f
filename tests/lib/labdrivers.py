"""The drivers that ship."""

from __future__ import annotations

import importlib
import pkgutil

from ophyd_async.core import Device

from rdaq_ophyd import devices

#: Modules of devices that belong to no instrument.
OTHERS = {"calibrated", "calibration", "declared"}


def drivers() -> dict[str, list[type[Device]]]:
    """The public device classes of each module with a driver, by its stem."""
    stems = {m.name for m in pkgutil.iter_modules(devices.__path__) if not m.name.startswith("_")} - OTHERS
    modules = {stem: importlib.import_module(f"rdaq_ophyd.devices.{stem}") for stem in sorted(stems)}
    public = {stem: [getattr(module, name) for name in module.__all__] for stem, module in modules.items()}
    return {s: [c for c in found if isinstance(c, type) and issubclass(c, Device)] for s, found in public.items()}
