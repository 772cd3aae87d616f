"""Newport ESP300, ESP301: motion controller with up to three axes.

Manual: *ESP300 Motion Controller/Driver User's Manual* (Newport).

Run against: own simulator, which a third-party driver also drives; not on hardware.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, ClassVar

from ophyd_async.core import SignalR, StandardReadable, TriggerableCommand
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._esp300_axis import Esp300Axis
from rdaq_ophyd.devices._esp300_base import Esp300Device
from rdaq_ophyd.devices._esp300_group import Esp300Group, confirm_each
from rdaq_ophyd.devices._esp300_home import HomeMode
from rdaq_ophyd.devices._esp300_units import AxisUnits
from rdaq_ophyd.devices._positions import Positions
from rdaq_ophyd.link import Link, SerialSettings
from rdaq_ophyd.signals import Ask, Do
from rdaq_ophyd.stop import SafeState

__all__ = ["AxisUnits", "Esp300", "Esp300Axis", "Esp300Group", "HomeMode", "Positions"]


class Esp300(Esp300Device, StandardReadable):
    """The controller with its axes as attributes: ``esp = Esp300(url, {1: "x", 2: "y"}); esp.x``.

    :param link: URL of the port, e.g. ``/dev/serial/by-id/…`` or ``tcp://host:port``, or a link.
    :param axes: the name of each axis in use, by its number.
    :param name: of the device; axes are named after it: ``esp-x``.
    :param limits: lowest and highest target of an axis, by its number; see ``Esp300Axis``.
    :param max_velocities: highest velocity of an axis, by its number.
    :param groups: names of axes that are to start together, by the name of the group: ``{"xy": ("x", "y")}``.
    :param may_power_off: numbers of the axes whose motors stop-all may take the power from; never of one that drops.
    :param serial: line settings other than 19200 8N1 without flow control.
    """

    firmware: Annotated[SignalR[str], Ask("VE?", initial="ESP300 mock"), Format.CONFIG_SIGNAL]
    """Model, version and date of the controller's firmware."""
    halt_all: Annotated[TriggerableCommand, Do("_halt_all")]
    """Decelerate every axis to a stop, without waiting for it."""
    emergency_stop: Annotated[TriggerableCommand, Do("_emergency_stop")]
    """Stops at once and, unless configured otherwise (``ZE``), takes the power from all motors."""

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.PREEMPTS,
        0.005,
        "ST is written past all that waits; then the axes decelerate; stop() returns within 5 s more",
    )

    def __init__(
        self,
        link: Link | str,
        axes: Mapping[int, str],
        name: str = "",
        *,
        limits: Mapping[int, tuple[float, float]] | None = None,
        max_velocities: Mapping[int, float] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        may_power_off: Collection[int] = (),
        serial: SerialSettings | None = None,
    ) -> None:
        if not axes:
            raise ValueError("an Esp300 needs at least one axis, such as {1: 'x'}")
        limits, speeds = limits or {}, max_velocities or {}
        for what, numbers in (("may_power_off", may_power_off), ("limits", limits), ("max_velocities", speeds)):
            if stray := set(numbers) - set(axes):
                raise ValueError(f"{what}: no axis {', '.join(map(str, sorted(stray)))} in use; axes: {list(axes)}")
        self.axes = {
            n: Esp300Axis(
                link,
                n,
                limits=limits.get(n),
                max_velocity=speeds.get(n),
                may_power_off=n in may_power_off,
                serial=serial,
            )
            for n in axes
        }
        for number, axis_name in axes.items():
            setattr(self, axis_name, self.axes[number])
        self.add_readables(list(self.axes.values()))
        self.groups = _groups(link, {axis_name: self.axes[n] for n, axis_name in axes.items()}, groups or {}, serial)
        for group_name, group in self.groups.items():
            setattr(self, group_name, group)
        super().__init__(link, None, name, serial=serial)

    async def handshake(self) -> None:
        """Make sure that it is an ESP300, and forget errors from before."""
        await self.identify()
        for axis in (0, *self.axes):
            self.errors.claim(axis)

    def halt(self) -> None:
        """Stop every axis now, from any thread, without an event loop. Moves in progress fail."""
        self._stop_all("ST")

    def note_stop(self) -> None:
        """Moves of all axes end as interrupted."""
        for axis in self.axes.values():
            axis.note_stop()

    def safe_states(self) -> Sequence[SafeState]:
        """Each axis stopped; ``ST`` stops also those that are not in use here."""
        axes = self.axes.values()
        # AB takes the power from every motor, as the controller is configured by default.
        abort = b"AB\r" if all(axis.may_power_off for axis in axes) else b""
        return [axis.safe_state(b"ST\r", abort) for axis in axes]

    def _stop_all(self, command: str) -> None:
        self.note_stop()
        if self._mock is None:
            # It stops also axes that are devices of their own: their moves must know.
            self.channel.link.safety.note_stop()
            for axis in self.axes.values():
                axis.movable_logic.adrift = True
            self.channel.preempt(command)
        for axis in self.axes.values():
            axis.movable_logic.adrift = False

    async def _halt_all(self) -> None:
        self.halt()

    async def _emergency_stop(self) -> None:
        self._stop_all("AB")

    async def stop(self, success: bool = False) -> None:
        """Stop every axis and confirm it; bounded as that of an axis. Does nothing to axes that stand still.

        :raises StopUnconfirmed: an axis still moves, or did not answer; all were told to stop.
        """
        self.halt()
        await confirm_each(self.axes.values(), success)


def _groups(
    link: Link | str, axes: Mapping[str, Esp300Axis], groups: Mapping[str, Sequence[str]], serial: SerialSettings | None
) -> dict[str, Esp300Group]:
    made = {}
    for name, members in groups.items():
        if stray := set(members) - set(axes):
            raise ValueError(f"group {name!r}: no axis {', '.join(sorted(stray))}; axes: {', '.join(axes)}")
        if name in axes or len(set(members)) != len(members) or len(members) < 2:
            raise ValueError(f"group {name!r}: give it a name of its own and two or three different axes")
        made[name] = Esp300Group(link, {axis: axes[axis] for axis in members}, serial=serial)
    return made
