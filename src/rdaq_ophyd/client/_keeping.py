"""What a person at the prompt keeps: metadata, positions, calibrations, suspenders; and the magics as methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rdaq_ophyd.errors import LimitError

from . import _ask
from ._call import Calls
from ._device import RemoteDevice
from ._facts import Session
from ._names import DeviceFacts, Devices
from ._runs import Run


class Keeping:
    """A part of :class:`Client`."""

    _calls: Calls

    @property
    def devices(self) -> Devices[RemoteDevice]:
        """All devices."""
        raise NotImplementedError

    def run(self, plan: str, **arguments: Any) -> Run:
        """Run a plan to its end."""
        raise NotImplementedError

    # -- readings and moves as plans --------------------------------------------------------------------------

    def count(self, *detectors: str, num: int = 1, delay: float = 0.0, progress: bool = False) -> Run:
        """Read detectors, recorded as a run.

        :param detectors: names; all detectors of the rig unless some are given.
        :param num: readings, ``delay`` seconds apart.
        """
        names = list(detectors) or detectors_of(self.devices)
        return self.run("count", progress=progress, detectors=names, num=num, delay=delay)

    def move(self, targets: Mapping[str, float], *, relative: bool = False, progress: bool = False) -> None:
        """Move axes together and wait: ``client.move({"x": 1.5, "y": 0})``. One axis: ``client.devices.x.move(1.5)``.

        Ctrl-C ends the waiting; ``abort()`` or ``stop_all()`` stop the axes.

        :param relative: by these distances.
        """
        self.run("move", progress=progress, relative=relative, **_ask.move(targets))

    # -- what the session keeps -------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """Metadata, positions, suspenders, calibrations and more, as they are now."""
        return self._calls.do(_ask.session())

    def set_metadata(self, key: str, value: Any) -> None:
        """Put something into the start document of every run from now on, as ``RE.md[key] = value`` does.

        :param value: of JSON.
        """
        self._calls.do(_ask.set_metadata(key, value))

    def forget_metadata(self, key: str) -> None:
        """Take it out again.

        :raises UnknownName: it is not there.
        """
        self._calls.do(_ask.forget_metadata(key))

    def save_position(self, name: str, *axes: str) -> None:
        """Keep where axes stand under a name; all axes unless some are named."""
        self.run("save_position", name=name, axes=list(axes) or None)

    def put_position(self, name: str, axes: Mapping[str, float]) -> None:
        """Keep places under a name, wherever the axes are; each in its axis' units."""
        self._calls.do(_ask.put_position(name, axes))

    def restore_position(self, name: str, *, progress: bool = False) -> None:
        """Move all axes of a saved position back to it, together.

        :raises RunFailed: no such position, or the move failed.
        """
        self.run("restore_position", progress=progress, name=name)

    def forget_position(self, name: str) -> None:
        """Keep it no longer.

        :raises UnknownName: no such position.
        """
        self._calls.do(_ask.put_position(name, {}))

    def set_calibration(self, name: str, value: float, why: str) -> None:
        """Set a calibration of the rig, such as ``pixel_size``, and keep it with its reason.

        :raises RunFailed: no such calibration, no finite number, no reason.
        """
        self.run("set_calibration", **_ask.calibration(name, value, why))

    def undo_calibration(self, name: str, why: str) -> None:
        """Put back the value that held before.

        :raises RdaqError: nothing was set.
        """
        self._calls.do(_ask.undo_calibration(name, why))

    def suspend(self, kind: str, signal: str, /, **numbers: float) -> None:
        """Let plans wait for a condition: ``client.suspend("power_below", "power_meter.power", floor=1e-9)``.

        :param kind: ``power_below`` (floor, resume), ``temperature_outside`` (low, high), ``link_lost``; all: settle.
        :param signal: dotted name.
        :raises UnknownName: no such kind or signal.
        """
        self._calls.do(_ask.suspend(kind, signal, numbers))

    def remove_suspender(self, which: str) -> None:
        """Let them wait for it no longer.

        :param which: its ``id`` in ``session.suspenders``.
        """
        self._calls.do(_ask.remove_suspender(which))


def detectors_of(devices: Iterable[DeviceFacts]) -> list[str]:
    """The devices that take a reading when they are triggered.

    :raises LimitError: there is none.
    """
    names = [device.name for device in devices if {"readable", "triggerable"} <= set(device.capabilities)]
    if not names:
        raise LimitError("this rig has no detector", hint="name what is to be read")
    return names
