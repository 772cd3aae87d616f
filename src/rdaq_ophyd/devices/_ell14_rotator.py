"""One ELL14 rotation mount."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Annotated

from ophyd_async.core import (
    InstantMovableMock,
    SignalR,
    SignalRW,
    StandardReadable,
    default_mock_class,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices import _ell14_info as info
from rdaq_ophyd.devices._confirm import confirming
from rdaq_ophyd.devices._ell14_commands import TURN, Ell14Commands
from rdaq_ophyd.devices._ell14_info import ELL14, MOCK, Info
from rdaq_ophyd.devices._ell14_motion import FULL_SPEED, OVERHEAD, STATUS_TIMEOUT, RotatorLogic
from rdaq_ophyd.devices._ell14_protocol import END, digits, number, pulses, status
from rdaq_ophyd.devices._ell14_status import BUSY, OK, failure
from rdaq_ophyd.devices._ell14_supply import Supply
from rdaq_ophyd.devices._motion import Interruptible
from rdaq_ophyd.errors import (
    InstrumentError,
    LimitError,
    LinkClosed,
    LinkError,
    RdaqError,
    ReplyTimeout,
    WrongInstrument,
)
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.signals import Ask, Measure, Sample, check_limits
from rdaq_ophyd.stop import SafeState

logger = logging.getLogger(__name__)

PACKET_GAP = 2.1
"""Seconds after which a device has dropped half a packet that somebody left behind (manual: 2 s)."""
STOP_MARGIN = 2.0
"""Seconds beyond the longest move in which a device must say that it is free."""
TWO_TURNS = 720.0
"""Degrees that the longest single move is taken for where nothing bounds it."""
SLOWEST = 25
"""Percent of the velocity below which a motor stalls (manual, "sv")."""


@default_mock_class(InstantMovableMock)
class Ell14(Ell14Commands, StandardReadable, Interruptible):
    """A rotation mount: turns to an angle, reports where it is. Angles are in degrees and count from home.

    :param link: URL of the bus (rotators at the same URL share it), or a link.
    :param address: of the device on the bus, ``0`` to ``F``; ``0`` as it is delivered.
    :param name: of the device; its angle has the same name.
    :param limits: lowest and highest target, in degrees; None: the mount turns without an end.
    :param segment: longest single move, in degrees: longer ones become a series that a stop ends in between; None: a
        move is one command, which runs to its end.
    :param tolerance: how far from its target it may stand after a move, in degrees; its repeatability is 0.05.
    :param serial: line settings other than 9600 8N1.
    :raises LimitError: ``limits`` are not two finite numbers, the lower first, or ``segment`` or ``tolerance`` is not a
        finite number above zero.
    """

    readback: Annotated[
        SignalR[float], Measure("_read_angle", units="deg", precision=3, poll=0.2), Format.HINTED_UNCACHED_SIGNAL
    ]
    """Where it is, from home. It has the name of the mount."""
    setpoint: Annotated[SignalRW[float], Measure("_read_target", units="deg", precision=3, write="_turn_to")]
    """Where it was sent last. Written directly it starts a move that nobody watches: use ``set`` of the mount."""
    velocity: Annotated[
        SignalRW[int],
        Ask(
            "{address}gv",
            "{address}sv{value:02X}",
            parse=number,
            units="%",
            limits=(SLOWEST, 100),
            initial=100,
            restore=True,
        ),
        Format.CONFIG_SIGNAL,
    ]
    """Of 430 degrees per second."""
    busy: Annotated[SignalR[bool], Measure("_read_busy", initial=False)]
    """Whether it turns, cleans or optimises."""
    serial_number: Annotated[
        SignalR[str], Ask("{address}in", parse=info.serial, initial="00000000"), Format.CONFIG_SIGNAL
    ]
    """As on its label."""
    firmware: Annotated[SignalR[str], Ask("{address}in", parse=info.firmware, initial="17"), Format.CONFIG_SIGNAL]
    """Its release."""
    hardware: Annotated[SignalR[int], Ask("{address}in", parse=info.hardware, initial=1), Format.CONFIG_SIGNAL]
    """Its release."""
    imperial: Annotated[SignalR[bool], Ask("{address}in", parse=info.imperial, initial=False), Format.CONFIG_SIGNAL]
    """Whether its threads are."""
    pulses_per_degree: Annotated[
        SignalR[float],
        Ask("{address}in", parse=info.per_degree, units="1/deg", initial=MOCK.per_degree),
        Format.CONFIG_SIGNAL,
    ]
    """Its own calibration: pulses by travel."""

    def __init__(
        self,
        link: Link | str,
        address: str | int = "0",
        name: str = "",
        *,
        limits: tuple[float, float] | None = None,
        segment: float | None = None,
        tolerance: float = 0.1,
        serial: SerialSettings | None = None,
    ) -> None:
        if not 0 < tolerance < float("inf"):
            raise LimitError(f"tolerance {tolerance}: degrees from the target", hint="give a finite number above zero")
        if segment is not None and not 0 < segment < float("inf"):
            raise LimitError(f"segment {segment}: degrees of a single move", hint="give a finite number above zero")
        self._limits, self._segment, self._tolerance = check_limits(f"address {address}", limits), segment, tolerance
        self._target: float | None = None
        self._fault = OK
        self._claimed: Supply | None = None
        super().__init__(link, address, name, serial=serial)
        self.set_metadata(self.setpoint, self.readback, limits=self._limits)
        self.follow(self.velocity, lambda _: None)  # read back after a write: how long a move takes depends on it

    @cached_property
    def movable_logic(self) -> RotatorLogic:
        """How it moves."""
        return RotatorLogic(
            setpoint=self.setpoint,
            readback=self.readback,
            velocity=self.velocity,
            ask_status=self._status_of_motion,
            ask_status_now=lambda: self._status(Lane.URGENT),
            step=self._begin_move,
            aim=self.aim,
            fail=self._failed,
            send_stop=self.halt,
            supply=self._supply,
            mover=lambda: f"{self.name} (address {self.address})",
            last_seen=lambda: self.seen(self.readback),
            check_pulses=self._check_pulses,
            limits=self._limits,
            segment=self._segment,
            tolerance=self._tolerance,
        )

    @property
    def stop_capability(self) -> StopCapability:  # type: ignore[override]  # it depends on settings
        """What began runs to its end. The bound is that of the motion in progress or, if that is longer, of a ``set``,
        which is bounded by ``segment`` or ``limits``."""
        bounded = self._segment is not None or self._limits is not None
        seconds = max(self._longest if bounded else 0.0, self.movable_logic.runs)
        means = "a series of short moves" if self._segment is not None else "one move, which runs to its end"
        return StopCapability(
            StopMeans.BETWEEN_MOVES,
            round(seconds, 2) or None,
            f"a set is {means}; a home search runs to its end too, for {self._home_search:.2g} s at most; "
            "a jog without an end and cleaning stop at once",
        )

    # -- connecting

    async def handshake(self) -> None:
        """Make sure that an ELL14 answers at this address, and take its calibration.

        :raises WrongInstrument: something else answers, or another device here has that address already.
        :raises ReplyTimeout: nothing answers.
        """
        self._claim()
        # An end mark first: what an earlier program left unfinished must not spoil the question.
        await self.channel.tell("", safe=True)
        try:
            reply = await self.channel.ask("{address}in")
        except ReplyTimeout:
            await asyncio.sleep(PACKET_GAP)
            reply = await self.channel.ask("{address}in")
        try:
            said = Info.parse(reply)
        except (ValueError, InstrumentError) as error:
            raise self._wrong(f"to 'in' it said {reply!r}") from error
        if said.model != ELL14:
            raise self._wrong(f"it is an ELL{said.model}")
        self._info = said

    def _claim(self) -> None:
        self._release()
        supply = self._supply()
        supply.claim(self.address, self)
        self._claimed = supply

    def _release(self) -> None:
        claimed, self._claimed = self._claimed, None
        if claimed is not None:
            claimed.unclaim(self)

    def _move_to(self, address: str) -> None:
        super()._move_to(address)
        self._claim()

    def close(self) -> None:
        """Give the link and the address on it back; the last device on a port closes it."""
        self._release()
        super().close()

    def _wrong(self, said: str) -> WrongInstrument:
        return WrongInstrument(
            f"{self.name}: at address {self.address} of {self.channel.url} is no ELL14; {said}",
            hint="Ell14Bus(...).discover() lists what answers at which address",
        )

    async def identity(self) -> Mapping[str, str]:
        """Its serial number, and the calibration by which angles are counted."""
        said = Info.parse(await self.channel.ask("{address}in"))
        return {"model": f"ELL{said.model}", "serial number": said.serial, "pulses per turn": str(said.pulses)}

    async def after_reconnect(self) -> None:
        """Stop it if it may be turning without an end since the link was lost."""
        if self.movable_logic.adrift:
            logger.warning("%s: may have been turning since its link was lost; it is told to stop", self.name)
            self.halt()

    # -- signals

    async def _read_angle(self, lane: Lane) -> Sample:
        counted = await self.channel.value(self.readback.name, "{address}gp", pulses, lane=lane, share=True)
        return Sample(counted / self._info.per_degree)

    async def _read_target(self, lane: Lane) -> Sample:
        return await self._read_angle(lane) if self._target is None else Sample(self._target)

    async def _read_busy(self, lane: Lane) -> Sample:
        return Sample(await self._status(lane) == BUSY)

    async def _status(self, lane: Lane) -> int:
        code = await self.channel.value(
            self.busy.name, "{address}gs", status, lane=lane, timeout=STATUS_TIMEOUT, share=True
        )
        if code not in (OK, BUSY):
            self._fault = code  # told once: whoever asked, the motion must hear of it
            # The device also tells it unasked; the second copy must not be taken for an answer.
            self.channel.link.resync()
        return code

    async def _status_of_motion(self) -> int:
        if self._mock is not None:
            return OK
        code = await self._status(Lane.NORMAL)
        if code != BUSY:
            code, self._fault = self._fault or code, OK
        return code

    def _failed(self, code: int, doing: str) -> InstrumentError:
        return failure(self.name, code, doing)

    def _check_pulses(self, angle: float) -> None:
        try:
            digits(self._pulses(angle))
        except ValueError as error:
            raise LimitError(f"{self.name}: target {angle:g} deg: {error}", hint="home it, and stay within") from error

    def _supply(self) -> Supply:
        return Supply() if self._mock is not None else Supply.of(self.channel.link)

    # -- moving

    def aim(self, angle: float | None) -> None:
        """Note where it is sent; None: nowhere in particular."""
        self._target = angle

    async def _turn_to(self, angle: float) -> None:
        self._check_pulses(angle)
        if not self.movable_logic.runs:  # written directly: nobody else says how long it takes
            self.movable_logic.begins(self._seconds(abs(angle - self.last(self.readback, angle))))
        self.aim(angle)
        await self._begin_move(angle)

    async def _begin_move(self, angle: float) -> None:
        await self._begin(f"ma{digits(self._pulses(angle))}")

    # -- stopping

    def halt(self) -> None:
        """Put ``st`` in front of all that waits for the bus, from any thread. No further segment is sent.

        :raises LinkClosed: there is no link to the bus.
        """
        logic = self.movable_logic
        logic.note_stop()
        if self._mock is not None:
            return
        logic.adrift = True
        if not self.channel.link.is_open:
            raise LinkClosed(f"{self.name}: {self.channel.url} is not open; it is told to stop when it is back")
        if threading.current_thread() is threading.main_thread():
            # Perhaps in a signal handler that interrupted whoever holds the queue's lock: never wait for it here.
            threading.Thread(target=self._queue_stop, name="rdaq-halt", daemon=True).start()
        else:
            self._queue_stop()

    def _queue_stop(self) -> None:
        # Not past an exchange in flight: what answers `st` would be taken for another's reply.
        stop = self.channel.protocol.encode(f"{self.address}st")
        try:
            sent = self.channel.link.submit(stop, reply=False, lane=Lane.URGENT, safe=True, who=self.channel.who)
        except LinkError as error:
            logger.error("%s: the stop was not sent: %s", self.name, error)
            return
        self.movable_logic.adrift = False
        sent.add_done_callback(self._halted)

    def _halted(self, sent: Future[bytes]) -> None:
        if isinstance(error := sent.exception(), RdaqError):
            self.movable_logic.adrift = True
            logger.error("%s: the stop was not sent: %s", self.name, error)

    def note_stop(self) -> None:
        """Moves in progress, and those not yet sent, end as interrupted."""
        self.movable_logic.note_stop()

    @property
    def _longest(self) -> float:
        """Seconds that a single move of a ``set`` takes at most, as far as it is bounded."""
        way = TWO_TURNS
        if self._limits is not None:
            low, high = self._limits
            here = self.last(self.readback, low)  # it may stand outside
            way = max(high, here) - min(low, here)
        return self._seconds(way if self._segment is None else min(way, self._segment))

    @property
    def _home_search(self) -> float:
        return self._seconds(TURN)

    def _seconds(self, way: float) -> float:
        return way / (FULL_SPEED * max(self.last(self.velocity, 100), 1) / 100) + OVERHEAD

    @property
    def _busy_for(self) -> float:
        """Seconds in which it is free at the latest after it was told to stop."""
        return max(self._longest, self.movable_logic.runs) + STOP_MARGIN

    def safe_states(self) -> Sequence[SafeState]:
        """Not busy: ``st`` ends a jog without an end and cleaning; a bounded move has to run to its end."""
        return (
            SafeState(
                device=self.name,
                halt=f"{self.address}st\r".encode(),
                question=f"{self.address}gs\r".encode(),
                end=END,
                safe=f"{self.address}GS(?!{BUSY:02X})[0-9A-F]{{2}}",
                agree=2,
                seconds=max(self._busy_for, self._home_search + STOP_MARGIN),  # it may begin before this is told on
                reply_timeout=self.protocol.timeout,
            ),
        )

    async def stop(self, success: bool = False) -> None:
        """End a jog without an end and cleaning, send no further segment, and wait until the rotator is free.

        What runs to its end does so: a single move, a home search. Returns within the time of the longest that may
        be in progress and 5 s. May be repeated.

        :param success: whether a move in progress then counts as succeeded.
        :raises StopUnconfirmed: it was still busy after that time, or did not answer.
        :raises LinkClosed: there is no link to the bus; the stop could not be sent.
        """
        await super().stop(success)
        if self._mock is not None:
            return
        seconds = self._busy_for
        async with confirming(self.name, seconds, "look at the mount; the supply of the bus is its emergency stop"):
            await self.movable_logic.confirm_stop(seconds)
        self._supply().release(self.movable_logic.mover())
