"""Focus drives, XY stages, filter wheels and turrets under Micro-Manager."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ophyd_async.core import Device, StandardReadable

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.signals import typed

from ._interrupts import Interrupts
from ._mm_core import MicroManager
from ._mm_device import MicroManagerConnector, Session, stop_motion
from ._mm_motion import MicroManagerMover


class _Axis(MicroManagerMover[float]):
    """An axis in µm.

    :param session: of the device that it belongs to.
    :param get: its position, from the core.
    :param put: sends a target to the core.
    :param limits: lowest and highest target, µm; Micro-Manager knows none.
    :param tolerance: how far from its target it may stand at the end, µm.
    :param seconds: bound for a move.
    """

    def __init__(
        self,
        session: Session,
        get: Callable[[Any], float],
        put: Callable[[Any, float], None],
        limits: tuple[float, float] | None,
        tolerance: float,
        seconds: float,
        connector: MicroManagerConnector | None = None,
        name: str = "",
    ) -> None:
        self._session, self._seconds = session, seconds
        self._limits, self._tolerance = limits, tolerance
        self._signals(float, "um", get, put)
        super().__init__(name=name, connector=connector)

    async def _check(self, value: float) -> None:
        if not math.isfinite(typed(self.name, value, float)):
            raise LimitError(f"{self.name}: {value} is not a finite number", hint="give a position")
        if self._limits is not None and not self._limits[0] <= value <= self._limits[1]:
            raise LimitError(
                f"{self.name}: target {value:g} um is outside the limits of the profile",
                hint=f"allowed: {self._limits[0]:g} to {self._limits[1]:g} um",
            )

    def _there(self, position: float, target: float) -> bool:
        return abs(position - target) <= self._tolerance


class MicroManagerStage(_Axis):
    """A stage with one axis, such as a focus drive; positions in µm.

    :param mm: the core, shared with the other devices of the configuration; or the path of its file.
    :param stage: its label in the configuration.
    :param name: of the device.
    :param limits: lowest and highest target, µm.
    :param tolerance: how far from its target it may stand at the end, µm.
    :param seconds: bound for a move, after which it is stopped.
    """

    def __init__(
        self,
        mm: MicroManager | str,
        stage: str = "Z",
        name: str = "",
        *,
        limits: tuple[float, float] | None = None,
        tolerance: float = 0.1,
        seconds: float = 60.0,
    ) -> None:
        session = _moving(mm, stage, self)
        super().__init__(
            session,
            lambda core: float(core.getPosition(stage)),
            lambda core, value: core.setPosition(stage, value),
            limits,
            tolerance,
            seconds,
            MicroManagerConnector(session, lambda: session.open("StageDevice")),
            name,
        )

    def close(self) -> None:
        """Let go of it; the last device closed unloads Micro-Manager."""
        self._session.close()


class MicroManagerXYStage(StandardReadable):
    """A stage with two axes, ``x`` and ``y``, each to be moved and scanned by itself; positions in µm.

    The adapter moves both at once: a move of one axis sends the last target of the other one along, and a stop of one
    stops both.

    :param mm: the core, shared with the other devices of the configuration; or the path of its file.
    :param stage: its label in the configuration.
    :param name: of the device.
    :param limits: lowest and highest target of each axis, µm: ``{"x": (0, 1000)}``.
    :param tolerance: how far from its target an axis may stand at the end, µm.
    :param seconds: bound for a move, after which it is stopped.
    """

    def __init__(
        self,
        mm: MicroManager | str,
        stage: str = "XY",
        name: str = "",
        *,
        limits: dict[str, tuple[float, float]] | None = None,
        tolerance: float = 0.1,
        seconds: float = 60.0,
    ) -> None:
        limits = limits or {}
        self._session = _moving(mm, stage, self)
        stops = Interrupts()
        self._session.on_halt(stops.add)
        targets: list[float] = []  # of both, while a move that nobody stopped may be under way
        seen = -1

        def put(index: int) -> Callable[[Any, float], None]:
            def send(core: Any, value: float) -> None:
                nonlocal seen
                now = stops.count
                if seen != now or not core.deviceBusy(stage):
                    targets[:] = core.getXYPosition(stage)
                seen = now
                targets[index] = value
                core.setXYPosition(stage, *targets)

            return send

        def get(index: int) -> Callable[[Any], float]:
            return lambda core: float(core.getXYPosition(stage)[index])

        with self.add_children_as_readables():
            self.x = _Axis(self._session, get(0), put(0), limits.get("x"), tolerance, seconds)
            self.y = _Axis(self._session, get(1), put(1), limits.get("y"), tolerance, seconds)
        connector = MicroManagerConnector(self._session, lambda: self._session.open("XYStageDevice"))
        super().__init__(name=name, connector=connector)

    def halt(self) -> None:
        """Stop both axes from any thread, without waiting."""
        self._session.halt()

    def close(self) -> None:
        """Let go of it; the last device closed unloads Micro-Manager."""
        self._session.close()


class MicroManagerState(MicroManagerMover[str]):
    """A filter wheel, turret or switch: its position is one of the labels that the configuration gives to its states.

    :param mm: the core, shared with the other devices of the configuration; or the path of its file.
    :param state: its label in the configuration.
    :param name: of the device.
    :param seconds: bound for a move.
    """

    def __init__(self, mm: MicroManager | str, state: str, name: str = "", *, seconds: float = 30.0) -> None:
        session = _moving(mm, state, self)
        self._session, self._seconds = session, seconds
        self._labels: tuple[str, ...] = ()
        self._signals(
            str,
            None,
            lambda core: str(core.getStateLabel(state)),
            lambda core, value: core.setStateLabel(state, value),
        )
        super().__init__(name=name, connector=MicroManagerConnector(session, self._open))

    async def _open(self) -> None:
        session = self._session
        await session.open("StateDevice")
        what = f"{self.name} does not tell its states"
        self._labels = await session.mm.ask(session.label, what, lambda core: tuple(core.getStateLabels(session.label)))
        self._place.metadata["choices"] = list(self._labels)

    async def _check(self, value: str) -> None:
        if self._labels and value not in self._labels:
            raise LimitError(f"{self.name} cannot be {value!r}", hint=f"choose from {', '.join(self._labels)}")

    def _there(self, position: str, target: str) -> bool:
        return position == target

    def close(self) -> None:
        """Let go of it; the last device closed unloads Micro-Manager."""
        self._session.close()


def _moving(mm: MicroManager | str, label: str, owner: Device) -> Session:
    return Session(MicroManager.of(mm), label, owner, stop_motion(label), lambda core: not core.deviceBusy(label))
