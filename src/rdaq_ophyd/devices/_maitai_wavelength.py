"""The tuning of a Mai Tai: commanded and actual wavelength, and the way between them."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

from ophyd_async.core import (
    CalculatableTimeout,
    InstantMovableMock,
    SignalR,
    SignalRW,
    StandardMovable,
    StandardReadable,
    TimeoutCalculator,
    WatchableAsyncStatus,
    default_mock_class,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._maitai_base import MaiTaiDevice
from rdaq_ophyd.devices._maitai_replies import parse_nm
from rdaq_ophyd.devices._motion import Interruptible, MotionLogic
from rdaq_ophyd.errors import LimitError, MoveInterrupted, MoveTimeout
from rdaq_ophyd.link import Link, SerialSettings
from rdaq_ophyd.signals import Ask, check_limits, tighter, typed

POLL = 0.1
"""Seconds between two questions for the actual wavelength."""
LOOK = 0.02
"""Seconds between two looks whether somebody stopped the wait."""
STOP_PATIENCE = 1.0
"""Seconds in which a wait that was stopped must have ended."""
LOWEST, HIGHEST = 690.0, 1040.0
"""nm in mock mode; a head says itself what it can do."""


@dataclass
class TuningLogic(MotionLogic):
    """Tells the head a wavelength and waits until it is there.

    :param low_limit: shortest wavelength of the head; ``high_limit`` the longest.
    :param tolerance: nm between target and actual wavelength at the end.
    :param seconds: that tuning may take.
    :param limits: shortest and longest wavelength that the profile allows, nm.
    """

    low_limit: SignalR[float]
    high_limit: SignalR[float]
    tolerance: float
    seconds: float
    limits: tuple[float, float] | None = None

    async def check_move(self, new_position: float) -> None:
        """Refuse what is no number, or no wavelength of this head and profile.

        :raises LimitError: no number, or a wavelength that head or profile do not allow; nothing was sent.
        """
        name = self.name
        if not math.isfinite(typed(name, new_position, float)):
            raise LimitError(f"{name}: {new_position} is not a finite number", hint="give a wavelength in nm")
        head = (await self.low_limit.get_value(), await self.high_limit.get_value())
        low, high = tighter(head, self.limits) or head
        if not low <= round(new_position) <= high:
            raise LimitError(f"{name}: {new_position:g} nm is out of range", hint=f"allowed: {low:g} to {high:g} nm")

    async def calculate_timeout(self, old_position: float, new_position: float) -> float:  # noqa: ARG002 - ophyd-async's
        """The same for every way: a head does not tell how fast it tunes."""
        return self.seconds

    async def move(self, new_position: float, timeout: TimeoutCalculator) -> None:
        """Tune and wait until the actual wavelength stands within the tolerance.

        :raises InstrumentError: the laser did not accept the wavelength.
        :raises MoveInterrupted: the wait was ended, and the head tunes on; or somebody else tuned the laser.
        :raises MoveTimeout: the wavelength was not reached within ``tuning_timeout``.
        """
        target, before = float(round(new_position)), self.interrupts.at_call()
        if await self.interrupts.unless_stopped(self._tune(target, timeout), before, LOOK):
            return
        with self.interrupts.excusing(before):
            raise MoveInterrupted(
                f"{self.name}: told to stop on its way to {target:g} nm",
                hint="a head that was told a wavelength tunes on to it; set it again to wait for it",
            )

    async def _tune(self, target: float, timeout: TimeoutCalculator) -> None:
        await self.setpoint.set(target)
        last = math.nan
        while True:
            # Uncached, and published to subscribers: a staged read after the move sees where it ended.
            actual = await self.readback.get_value(cached=False)
            if abs(actual - target) <= self.tolerance and actual == last:
                break
            if (left := timeout()) is not None and left <= 0:
                raise MoveTimeout(
                    f"{self.name}: at {actual:g} nm, not at {target:g} nm (tolerance {self.tolerance:g} nm)",
                    hint="is the laser on and healthy? if it is only slow, give it more tuning_timeout",
                )
            last = actual
            await asyncio.sleep(POLL)
        if (commanded := await self.setpoint.get_value(cached=False)) != target:
            raise MoveInterrupted(
                f"{self.name}: was to tune to {target:g} nm, but was told {commanded:g} nm meanwhile",
                hint="another program, or the laser's own, tuned it",
            )


class MaiTaiWavelengthMock(InstantMovableMock):
    """A head that is there at once."""

    async def connect(self, device: StandardMovable[float]) -> None:
        """Its limits are those of the profile, and those declared."""
        await super().connect(device)
        if isinstance(device, MaiTaiWavelength):
            device.note_limits()


@default_mock_class(MaiTaiWavelengthMock)
class MaiTaiWavelength(MaiTaiDevice, StandardReadable, Interruptible):
    """The wavelength of a Mai Tai in nm, as a thing to scan. A part of ``MaiTai``.

    A set is done when the actual wavelength stands within ``tolerance`` of the target. The laser takes whole
    nanometres: targets are rounded, and ``setpoint`` shows to what.

    :param link: URL of the laser's port, or a link.
    :param tolerance: nm.
    :param tuning_timeout: seconds that tuning may take.
    :param limits: shortest and longest wavelength that the profile allows, whatever the head can do.
    :param serial: line settings other than 9600 8N1.
    :raises LimitError: ``limits`` are not two finite numbers, the lower first.
    """

    readback: Annotated[
        SignalR[float],
        Ask("READ:WAVelength?", parse=parse_nm, units="nm", precision=0, poll=0.5, initial=800.0),
        Format.HINTED_UNCACHED_SIGNAL,
    ]
    """The actual wavelength."""
    setpoint: Annotated[
        SignalRW[float],
        Ask("WAVelength?", "WAVelength {value:.0f}", parse=parse_nm, units="nm", precision=0, initial=800.0),
    ]
    """The wavelength that the head was told last, a whole number."""
    low_limit: Annotated[
        SignalR[float],
        Ask("WAVelength:MIN?", parse=parse_nm, units="nm", precision=0, initial=LOWEST),
        Format.CONFIG_SIGNAL,
    ]
    """Shortest wavelength of the head."""
    high_limit: Annotated[
        SignalR[float],
        Ask("WAVelength:MAX?", parse=parse_nm, units="nm", precision=0, initial=HIGHEST),
        Format.CONFIG_SIGNAL,
    ]
    """Longest wavelength of the head."""

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.BETWEEN_MOVES, None, "nothing is sent: the head tunes on; what waits for it ends at once"
    )

    def __init__(
        self,
        link: Link | str,
        name: str = "",
        *,
        tolerance: float = 1.0,
        tuning_timeout: float = 60.0,
        limits: tuple[float, float] | None = None,
        serial: SerialSettings | None = None,
    ) -> None:
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise LimitError(f"tolerance {tolerance} nm", hint="give 0 or more")
        self._tolerance, self._seconds = tolerance, tuning_timeout
        self._limits = check_limits("wavelength", limits)
        self._sets: set[asyncio.Task[None]] = set()
        super().__init__(link, None, name, serial=serial)

    @cached_property
    def movable_logic(self) -> TuningLogic:
        """How it tunes."""
        return TuningLogic(
            setpoint=self.setpoint,
            readback=self.readback,
            low_limit=self.low_limit,
            high_limit=self.high_limit,
            tolerance=self._tolerance,
            seconds=self._seconds,
            limits=self._limits,
        )

    async def after_connect(self) -> None:
        """Take over what the head can do."""
        self.note_limits()

    def note_limits(self) -> None:
        """From now on ``setpoint`` takes what both the head, as far as it was read, and the profile allow."""
        head = self.last(self.low_limit, LOWEST), self.last(self.high_limit, HIGHEST)
        self.set_metadata(self.setpoint, self.readback, limits=tighter(head, self._limits))

    def set(
        self, new_position: float, timeout: CalculatableTimeout = "CALCULATE_TIMEOUT"
    ) -> WatchableAsyncStatus[float]:
        """Tune to ``new_position`` nm; a stop from now on ends the wait, also one that comes before a byte was sent."""
        status = super().set(new_position, timeout)
        self._sets.add(status.task)
        status.task.add_done_callback(self._sets.discard)
        return status

    def note_stop(self) -> None:
        """What waits for the head ends as interrupted."""
        self.movable_logic.interrupts.add()

    async def stop(self, success: bool = False) -> None:
        """End the wait for the head, at once. Sends nothing; may be repeated.

        :param success: whether a tuning in progress then counts as succeeded.
        """
        self.note_stop()
        if success:
            self.movable_logic.interrupts.pardon()
        if self._sets:
            await asyncio.wait(set(self._sets), timeout=STOP_PATIENCE)
