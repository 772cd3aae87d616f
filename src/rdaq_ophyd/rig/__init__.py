"""A rig: the instruments on one bench, each built by a typed factory function.

The function *is* the configuration. Its name is the device's name; its parameters are the names of what it
needs, filled in by the rig as pytest fills in fixtures::

    rig = Rig("laser_lab")

    @rig.device
    def stage() -> Esp300:
        return Esp300("/dev/serial/by-id/usb-...")

    @rig.device
    def x(stage: Esp300) -> Esp300Axis:
        return stage.axis[1]

``from_toml(path)`` makes one from a TOML file.

A device that cannot be built or connected is reported in ``rig.failures``; all others work.
"""

from pathlib import Path

from ._live import fitting, fitting_devices
from ._rig import Rig, where

__all__ = ["Rig", "fitting", "fitting_devices", "from_toml", "where"]


def from_toml(path: Path) -> Rig:
    """The rig that a TOML profile describes, not yet built.

    :raises ProfileError: with file and line of what is wrong in it.
    """
    from ._toml import read  # its schema is loaded only where a profile is a TOML file

    return read(path)
