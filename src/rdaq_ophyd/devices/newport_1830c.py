"""Newport 1830-C: optical power meter with a photodiode detector.

Manual: *Model 1830-C Optical Power Meter Instruction Manual* (Newport).

Run against: own simulator; not on hardware.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from enum import IntFlag
from typing import Annotated, Any, ClassVar

from bluesky.protocols import Reading, Stoppable, Triggerable
from event_model import DataKey
from ophyd_async.core import (
    AsyncStatus,
    SignalR,
    SignalRW,
    StandardReadable,
    StrictEnum,
    TriggerableCommand,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    ReadingInterrupted,
    ReplyTimeout,
    UnitsError,
    WrongInstrument,
)
from rdaq_ophyd.link import Lane, Line, Link, SerialSettings
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Measure, Sample, Tell, parse_bool, parse_float, parse_int

logger = logging.getLogger(__name__)

__all__ = ["AnalogFilter", "MeterStatus", "Newport1830C"]

READING_TIMEOUT = 5.0
"""Seconds to wait for a reading: the slow filter averages 16 readings, and changing the range takes about a second."""
HOLD_CHECK = 0.5
"""Seconds without a reading after which the meter is asked whether it is on hold."""
STATUS_PERIOD = 0.02
"""Seconds between two questions for the status: about one exchange at 9600 baud."""
WATTS = 1
"""Code of ``U`` for watts; 2 and 3 are dB and dBm, 4 is relative."""
WAVELENGTHS = (300, 1100)
"""Wavelengths in nm that any detector of the meter is calibrated for; a detector may have fewer."""


class MeterStatus(IntFlag):
    """The status byte, ``Q?``."""

    PARAMETER_ERROR = 1
    COMMAND_ERROR = 2
    SATURATED = 4
    OVER_RANGE = 8
    MESSAGE_AVAILABLE = 16
    BUSY = 32
    SERVICE_REQUEST = 64
    READ_DONE = 128


ENDED = MeterStatus.READ_DONE | MeterStatus.SATURATED | MeterStatus.OVER_RANGE
"""A reading ended, well or not."""


class AnalogFilter(StrictEnum):
    """How many readings the meter averages: 16, 4 or 1."""

    SLOW = "slow"
    MEDIUM = "medium"
    FAST = "fast"


class Newport1830C(LinkDevice, StandardReadable, Triggerable, Stoppable):
    """The meter with its detector: reads watts.

    ``trigger`` takes a fresh reading, which the next ``read`` returns, with the time at which it was taken; without it,
    ``read`` gives the meter's latest. ``stage`` and ``unstage`` forget what was triggered and not read. A reading of a
    saturated detector or beyond the range has alarm severity 2 (major), recorded beside it as ``power_severity``.

    :param link: URL of the meter's port, or a link.
    :param name: of the device.
    :param serial: line settings other than 9600 8N1 (rear switches of the meter).
    """

    protocol: ClassVar[LineProtocol] = LineProtocol(
        command_end="\n", reply=Line(b"\n"), timeout=1.0, serial=SerialSettings(baudrate=9600)
    )
    """The baud rate is that of the switches at the meter's rear. Settings are not answered."""
    write_check: ClassVar[str] = "Q?"
    heartbeat: ClassVar[str] = "Q?"

    power: Annotated[
        SignalR[float],
        Measure("_measure", units="W", precision=9, poll=0.2, initial=1e-6),
        Format.HINTED_UNCACHED_SIGNAL,
    ]
    """The reading. Only watts are used: sources disagree which of ``U2`` and ``U3`` means dBm. The meter is asked for
    its unit before each reading, and set to watts again where somebody chose another one at the front panel.

    :alarm major: the detector is saturated, or the power is beyond the range; a warning is logged too.
    """
    power_severity: Annotated[SignalR[int], Measure("_read_severity", initial=0)]
    """Alarm severity of ``power``: 0 good, 2 not to be trusted. A ``read`` gives that of the reading beside
    it, so that each event has it: what has 2 is left out of the fits of the library's plans."""
    wavelength: Annotated[
        SignalRW[float],
        Ask("W?", "W{value:04.0f}", units="nm", precision=0, limits=WAVELENGTHS, initial=800.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    """Of the light, for which the detector's calibration is used; a detector may have a narrower range."""
    attenuator: Annotated[SignalRW[bool], Ask("A?", "A{value:d}", restore=True), Format.CONFIG_SIGNAL]
    """Whether the detector's attenuator is on it; the meter scales the reading."""
    zero: Annotated[SignalRW[bool], Ask("Z?", "Z{value:d}"), Format.CONFIG_SIGNAL]
    """Switching it on takes the present reading as the zero, which is subtracted from then on."""
    range: Annotated[SignalRW[int], Ask("R?", "R{value:d}", limits=(0, 8), restore=True), Format.CONFIG_SIGNAL]
    """0 automatic, 1 lowest power to 8 highest."""
    filter: Annotated[
        SignalRW[AnalogFilter],
        Ask(
            "F?",
            "F{value}",
            codes={AnalogFilter.SLOW: "1", AnalogFilter.MEDIUM: "2", AnalogFilter.FAST: "3"},
            initial=AnalogFilter.MEDIUM,
            restore=True,
        ),
        Format.CONFIG_SIGNAL,
    ]
    """How many readings the meter averages: 16, 4 or 1."""
    running: Annotated[SignalRW[bool], Ask("G?", "G{value:d}", initial=True), Format.CONFIG_SIGNAL]
    """False: hold; the meter keeps its last reading, and that is what ``read`` and ``trigger`` give."""
    status: Annotated[SignalR[int], Ask("Q?", limits=(0, 255))]
    """The status byte; see ``MeterStatus``."""
    clear_status: Annotated[TriggerableCommand, Tell("C", check=False, safe=True)]
    """Forget errors and alarms that the status byte still shows."""
    store_reference: Annotated[TriggerableCommand, Tell("S")]
    """Take the present reading as the reference of relative and dB readings, which this driver does not use."""

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.SOFTWARE, None, "nothing is sent, the meter only measures; a triggered reading ends at once"
    )

    _triggered: Sample | None = None
    _epoch: int = 0

    def __init__(self, link: Link | str, name: str = "", *, serial: SerialSettings | None = None) -> None:
        self._in_progress: dict[asyncio.Future[bool], AsyncStatus[None]] = {}
        super().__init__(link, None, name, serial=serial)

    async def handshake(self) -> None:
        """Switch the echo off, make sure that it is a 1830-C, set watts.

        :raises WrongInstrument: the answers are not those of a 1830-C (which has no identification command).
        """
        # An empty line first: what an earlier program left unfinished must not spoil the command. With echo on, E0
        # itself comes back, so the input is drained before the first question.
        await self.channel.tell("", safe=True)
        await self.channel.tell("E0", safe=True)
        self.channel.link.resync()
        await self._recognise("W?", *WAVELENGTHS)
        await self._recognise("Q?", 0, 255)
        # U2 and U3 mean dB and dBm, but sources disagree on which is which: only watts are used.
        await self.channel.tell("U1", safe=True)
        await self.channel.tell("C", safe=True)

    async def _recognise(self, question: str, low: int, high: int) -> None:
        try:
            reply = await self.channel.ask(question)
        except BadReply as error:
            raise self._wrong(question, str(error)) from error
        if not reply.isdigit() or not low <= int(reply) <= high:
            raise self._wrong(question, repr(reply))

    def _wrong(self, question: str, said: str) -> WrongInstrument:
        return WrongInstrument(
            f"{self.name}: {self.channel.url} is no 1830-C; to {question!r} it said {said}",
            hint="is the port the right one? `rdaq doctor` lists what answers where",
        )

    async def check_write(self, reply: str, command: str) -> None:
        """Judge the status byte that followed a setting; the meter says nothing else about a bad one.

        :raises BadReply: what came was no status byte; whether the meter took the setting is not known.
        :raises InstrumentError: the status byte shows a parameter or command error; names the command.
        """
        if not _is_status(reply):
            self.channel.link.resync()
            raise BadReply(
                f"{self.name}: {self.channel.url} answered {reply!r} to 'Q?' after {command!r}; expected 0 to 255",
                hint="whether the meter took the setting is not known: read it back",
            )
        status = MeterStatus(int(reply))
        if refused := status & (MeterStatus.PARAMETER_ERROR | MeterStatus.COMMAND_ERROR):
            await self.channel.tell("C", safe=True)
            cause = "parameter out of range" if MeterStatus.PARAMETER_ERROR in refused else "unknown command"
            raise InstrumentError(self.name, int(refused), f"{cause} in {command!r}")

    def trigger(self) -> AsyncStatus[None]:
        """Take a reading that ends after this call; the next ``read`` returns it.

        :raises ReplyTimeout: no reading within 5 s (no detector?), or no answer at all.
        :raises ReadingInterrupted: ``stop`` ended it.
        :raises UnitsError: the meter does not read in watts, although it was set to watts.
        """
        self._forget()
        # Made here, not in the task: a stop that comes before the task's first step must end it too.
        stopped: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        status = AsyncStatus(self._until_stopped(self._take_fresh(self._epoch), stopped), self.name)
        self._in_progress[stopped] = status
        status.task.add_done_callback(lambda _: self._in_progress.pop(stopped, None))
        return status

    async def _take_fresh(self, epoch: int) -> None:
        if self._mock is not None:
            return
        # Forget the reading and the alarms that are there already. U1: somebody may have switched to dB on the panel.
        await self.channel.exchange("C", "U1", "D?", safe=True)
        sample = await self._take(Lane.NORMAL)
        if epoch == self._epoch:  # nobody has staged, unstaged or triggered since
            self._triggered = sample

    async def _until_stopped(self, taking: Coroutine[None, None, None], stopped: asyncio.Future[bool]) -> None:
        task = asyncio.ensure_future(taking)
        either: tuple[asyncio.Future[Any], ...] = (task, stopped)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()  # a question in flight is still answered, to nobody
                await asyncio.wait({task})
        if not task.cancelled():
            return task.result()
        if not stopped.result():
            raise ReadingInterrupted(f"{self.name}: the reading was stopped", hint="trigger it again")
        return None

    async def stop(self, success: bool = False) -> None:
        """End a triggered reading in progress. Sends nothing, so it waits for no reply, and may be repeated.

        :param success: whether that reading then counts as succeeded; the next ``read`` takes one of its own.
        """
        ending = dict(self._in_progress)
        for stopped in ending:
            if not stopped.done():
                stopped.set_result(success)
        if ending:
            await asyncio.wait([status.task for status in ending.values()])

    async def read(self) -> dict[str, Reading[Any]]:
        """The power, and whether it can be trusted."""
        readings: dict[str, Reading[Any]] = await super().read()
        power = readings[self.power.name]
        severity = Reading(value=power.get("alarm_severity", 0), timestamp=power["timestamp"])
        return {**readings, self.power_severity.name: severity}

    async def describe(self) -> dict[str, DataKey]:
        """Of both."""
        return {**await super().describe(), **await self.power_severity.describe()}

    async def _read_severity(self, lane: Lane) -> Sample:
        sample = await self._take(lane)
        return Sample(sample.severity, timestamp=sample.timestamp)

    def stage(self) -> AsyncStatus[None]:
        """Forget a reading that an earlier plan triggered and did not read."""
        self._forget()
        return super().stage()

    def unstage(self) -> AsyncStatus[None]:
        """Forget a reading that was triggered and not read."""
        self._forget()
        return super().unstage()

    def _forget(self) -> None:
        self._triggered = None
        self._epoch += 1

    async def _measure(self, lane: Lane) -> Sample:
        # A background poll must not use up what was triggered.
        if lane is not Lane.POLL and self._triggered is not None:
            sample, self._triggered = self._triggered, None
            return sample
        return await self._take(lane)

    async def _take(self, lane: Lane) -> Sample:
        status = await self._wait_for_reading(lane)
        if await self._unit(lane) != WATTS:
            status = await self._back_to_watts(lane)
        watts = await self.channel.value(self.power.name, "D?", parse_float, lane=lane)
        if not status & (MeterStatus.SATURATED | MeterStatus.OVER_RANGE):
            return Sample(watts)
        # The bits stay until cleared; the next reading must be judged by its own.
        await self.channel.tell("C", lane=lane, safe=True)
        logger.warning("%s: %s W is not to be trusted: %s", self.name, watts, status.name)
        return Sample(watts, severity=2)

    async def _unit(self, lane: Lane) -> int:
        return await self.channel.value(self.power.name, "U?", parse_int, lane=lane)

    async def _back_to_watts(self, lane: Lane) -> MeterStatus:
        """Somebody chose another unit at the front panel: dBm must not be recorded as watts."""
        logger.warning("%s: showed another unit than watts; it is set to watts again", self.name)
        # What was ready is forgotten: it may be in that unit.
        await self.channel.exchange("C", "U1", "D?", lane=lane, safe=True)
        status = await self._wait_for_reading(lane)
        if (unit := await self._unit(lane)) != WATTS:
            raise UnitsError(
                f"{self.power.name}: the meter reads in unit {unit}, although it was set to watts (1)",
                hint="is somebody at its front panel? `L1` locks it",
            )
        return status

    async def _wait_for_reading(self, lane: Lane) -> MeterStatus:
        clock = asyncio.get_running_loop().time
        start, running, status = clock(), True, MeterStatus(0)
        while running or clock() - start < HOLD_CHECK:
            status = MeterStatus(await self.channel.value(self.status.name, "Q?", parse_int, lane=lane))
            if status & ENDED and not status & MeterStatus.BUSY:
                return status
            if clock() - start > READING_TIMEOUT:
                raise ReplyTimeout(
                    f"{self.name}: no reading ready within {READING_TIMEOUT:g} s (status {status!r})",
                    hint="is a detector plugged in? choose a fixed range if the power fluctuates",
                )
            if clock() - start > HOLD_CHECK and running:
                running = await self.channel.value(self.running.name, "G?", parse_bool, lane=lane)
            await asyncio.sleep(STATUS_PERIOD)
        # On hold there is no new reading, and the old one is what its user wants.
        return status


def _is_status(reply: str) -> bool:
    return reply.isascii() and reply.isdigit() and int(reply) <= 255
