"""A lamp and a stage with their simulators, small and right: what a lab would write. Broken ones are made from them."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from bluesky.protocols import Location
from ophyd_async.core import AsyncStatus, SignalR, SignalRW, StandardReadable, TriggerableCommand, set_mock_value
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.errors import MoveInterrupted, WrongInstrument
from rdaq_ophyd.link import Line, SerialSettings
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Tell, check_value
from rdaq_ophyd.sim import Instrument
from rdaq_ophyd.stop import SafeState

PROTOCOL = LineProtocol(command_end="\r\n", reply=Line(b"\r\n"), serial=SerialSettings(baudrate=9600))


class SimLab(Instrument):
    """What both have in common: two letters and a parameter, nothing said about bad ones."""

    baud, terminator = 9600, b"\n"

    def split(self, line):
        return [line.strip()] if line.strip() else []

    def mnemonic(self, command):
        return command[:2]

    def overlong(self, now):
        pass


class SimLamp(SimLab):
    name = "lamp"

    def __init__(self):
        super().__init__()
        self.power, self.on = 10.0, False

    def execute(self, command, now):
        match command[:2], command[2:]:
            case "ID", "?":
                return b"LAMP 2, firmware 1.4\r\n"
            case "PW", "?":
                return f"{self.power:.1f}\r\n".encode()
            case "PW", number:
                self.power = float(number)
            case "ST", "?":
                return b"%d\r\n" % self.on
            case ("ON" | "OF") as switch, "":
                self.on = switch == "ON"
        return None


class SimStage(SimLab):
    """Moves at constant speed."""

    name = "stage"

    def __init__(self, serial: int = 42):
        super().__init__()
        self.serial, self.speed = serial, 20.0
        self._begun, self._start, self._target = 0.0, 0.0, 0.0

    def position(self, now: float) -> float:
        way = self.speed * (now - self._begun)
        distance = self._target - self._start
        return self._target if way >= abs(distance) else self._start + (way if distance > 0 else -way)

    def moving(self, now: float) -> bool:
        return self.position(now) != self._target

    def execute(self, command, now):
        match command[:2], command[2:]:
            case "ID", "?":
                return b"STAGE 7, serial %d\r\n" % self.serial
            case "PO", "?":
                return f"{self.position(now):.3f}\r\n".encode()
            case "BU", "?":
                return b"%d\r\n" % self.moving(now)
            case "SP", "?":
                return f"{self.speed:.2f}\r\n".encode()
            case "SP", number:
                self.speed = float(number)
            case "MV", number:
                self._begun, self._start, self._target = now, self.position(now), float(number)
            case "ST", "":
                self._start = self._target = self.position(now)
        return None


class Lab(LinkDevice, StandardReadable):
    """The base of both.

    :cvar kind: what the answer to ``ID?`` begins with.
    """

    protocol: ClassVar[LineProtocol] = PROTOCOL
    kind: ClassVar[str] = ""

    model: Annotated[SignalR[str], Ask("ID?", initial="mock"), Format.CONFIG_SIGNAL]

    async def handshake(self) -> None:
        said = await self.channel.ask("ID?")
        if not said.startswith(self.kind):
            raise WrongInstrument(f"{self.name}: {self.channel.url} is no {self.kind}; it said {said!r}")

    async def identity(self) -> Mapping[str, str]:
        return {"model": await self.channel.ask("ID?")}


class Lamp(Lab):
    """A lamp controller."""

    kind = "LAMP"
    heartbeat: ClassVar[str] = "ST?"

    power: Annotated[
        SignalRW[float],
        Ask("PW?", "PW{value:.1f}", units="W", precision=1, limits=(0, 100), initial=0.0),
        Format.HINTED_UNCACHED_SIGNAL,
    ]
    on: Annotated[SignalRW[bool], Ask("ST?", {True: "ON", False: "OF"}, safe=(False,)), Format.CONFIG_SIGNAL]
    """Whether it is lit."""
    off: Annotated[TriggerableCommand, Tell("OF", preempt=True)]
    """Dark, past everything that waits for the port."""

    def safe_states(self) -> Sequence[SafeState]:
        return [SafeState(self.name, b"OF\r\n", preempt=True, question=b"ST?\r\n", end=b"\r\n", safe="0", first=True)]


class Stage(Lab):
    """A motorised stage, ±50 mm."""

    kind = "STAGE"
    limits: ClassVar[tuple[float, float]] = (-50.0, 50.0)

    position: Annotated[SignalR[float], Ask("PO?", units="mm", precision=3), Format.HINTED_UNCACHED_SIGNAL]
    speed: Annotated[
        SignalRW[float],
        Ask("SP?", "SP{value:.2f}", units="mm/s", precision=2, limits=(0.1, 100), initial=10.0, restore=True),
        Format.CONFIG_SIGNAL,
    ]
    moving: Annotated[SignalR[bool], Ask("BU?", initial=False)]
    """Whether it is on its way."""
    halt_motion: Annotated[TriggerableCommand, Tell("ST", preempt=True)]
    """Stop, without waiting until it stands still."""

    stop_capability: ClassVar[StopCapability] = StopCapability(StopMeans.PREEMPTS, 0.005)
    halts = 0
    adrift = False

    def set(self, value: float) -> AsyncStatus:
        return AsyncStatus(self.go(value, self.halts), self.name)

    def check(self, value: float) -> None:
        check_value(self.name, value, self.limits, "mm")

    async def go(self, value: float, halts: int) -> None:
        self.check(value)
        if self._mock is not None:
            set_mock_value(self.position, value)
            return
        try:
            if self.halts == halts:
                self.adrift = True
                await self.send_move(value)
            if self.halts != halts:  # as it waited for the port, perhaps behind its stop
                self.give_up()
            while await self.moving.get_value(cached=False):
                pass
            self.adrift = False
        except BaseException:
            self.give_up()
            raise
        if self.halts != halts:
            raise MoveInterrupted(f"{self.name}: told to stop on its way to {value:g}")

    async def send_move(self, value: float) -> None:
        await self.channel.tell("MV{value:.3f}", value=value)

    def give_up(self) -> None:
        """What is done when a move fails."""
        if self.channel._link is not None and self.channel.link.is_open:
            self.halt()

    def halt(self) -> None:
        self.note_stop()
        if self._mock is None:
            self.channel.preempt("ST")

    def note_stop(self) -> None:
        self.halts += 1

    async def stop(self, success: bool = False) -> None:
        self.halt()
        while await self.now(self.moving):
            pass

    async def after_reconnect(self) -> None:
        if self.adrift:
            self.halt()

    async def locate(self) -> Location[float]:
        position = (
            await self.position.get_value(cached=False) if self._mock is None else await self.position.get_value()
        )
        return Location(setpoint=position, readback=position)

    def safe_states(self) -> Sequence[SafeState]:
        return [SafeState(self.name, b"ST\r\n", preempt=True, question=b"BU?\r\n", end=b"\r\n", safe="0")]


class InSteps(Stage):
    """Its moves are series of short ones; a stop lets the one that began run to its end, and prevents the next."""

    step: ClassVar[float] = 5.0
    stop_capability: ClassVar[StopCapability] = StopCapability(StopMeans.BETWEEN_MOVES, None, "after a step of 5 mm")

    async def go(self, value: float, halts: int) -> None:
        self.check(value)
        if self._mock is not None:
            set_mock_value(self.position, value)
            return
        here = await self.position.get_value(cached=False)
        count = max(1, math.ceil(abs(value - here) / self.step))
        for number in range(1, count + 1):
            if self.given_up(halts):
                break
            await self.send_move(here + (value - here) * number / count)
            while await self.moving.get_value(cached=False):
                pass
        if self.halts != halts:
            raise MoveInterrupted(f"{self.name}: told to stop on its way to {value:g}")

    def given_up(self, halts: int) -> bool:
        """Whether a stop came."""
        return self.halts != halts

    def halt(self) -> None:
        self.note_stop()
