"""What every declared instrument must do, one step a function."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rdaq_ophyd.declaration import Declaration, Signal
from rdaq_ophyd.devices.declared import Declared, DeclaredPart, class_of
from rdaq_ophyd.errors import InstrumentError, LimitError, MoveInterrupted, RdaqError, WrongInstrument
from rdaq_ophyd.sim import Port, SimDeclared, serve_pty, serve_tcp
from rdaq_ophyd.stop import Outcome
from rdaq_ophyd.trial._values import NOT_FINITE, alike, allowed, outside

NONSENSE = "RDAQQQ:TRIAL 1"
"""A command that no instrument has."""
STOP_BOUND = 10.0
"""Seconds in which a stop must return, whatever the file says of its own."""


class NotApplicable(Exception):
    """The file says nothing that this step could look at."""


class TrialFailure(RdaqError):
    """A declared instrument does not do what every one must."""


@dataclass(frozen=True)
class Trial:
    """A declared instrument, its device and its simulation.

    :param declaration: what its file says.
    :param device: connected.
    :param port: where the simulation is served.
    """

    declaration: Declaration
    device: Declared
    port: Port

    def signals(self) -> Iterator[tuple[DeclaredPart, str, Signal]]:
        """Each declared signal with the part it belongs to."""
        for part in (self.device, *self.device.parts.values()):
            for name, signal in part.scope.signal.items():
                yield part, name, signal

    @property
    def received(self) -> int:
        """Bytes that the simulation has got so far."""
        return len(self.port.log.bytes())


@contextlib.asynccontextmanager
async def serve(declaration: Declaration, *, tcp: bool) -> AsyncIterator[Trial]:
    """A trial on a TCP port or a pseudo-terminal of its own, connected."""
    sim = SimDeclared(declaration)
    with serve_tcp(sim, lift_baud=True) if tcp else serve_pty(sim, lift_baud=True) as port:
        device = _device(declaration, port)
        await device.connect()
        try:
            yield Trial(declaration, device, port)
        finally:
            await asyncio.to_thread(device.close)


def _device(declaration: Declaration, port: Port) -> Declared:
    made: Declared = class_of(declaration)(
        port.url.replace("socket://", "tcp://"), "trial", address=1 if declaration.link.address else None
    )
    return made


def _require(holds: object, what: str, hint: str = "see the reference of declared instruments") -> None:
    if not holds:
        raise TrialFailure(what, hint=hint)


async def reads(trial: Trial) -> None:
    """Everything can be read, and what is read is described."""
    readings, described = await trial.device.read(), await trial.device.describe()
    _require(readings.keys() == described.keys(), f"read {sorted(readings)}, described {sorted(described)}")
    for part, name, signal in trial.signals():
        value = await getattr(part, name).get_value()
        _require(signal.type != "float" or isinstance(value, float), f"{part.name}-{name}: {value!r} is no float")


async def knows_itself(trial: Trial) -> None:
    """Another instrument behind the port is refused before a setting is sent."""
    identity, sim = trial.declaration.identity, trial.declaration.sim
    if identity is None or sim is None:
        raise NotApplicable("no [identity]")
    rules = [
        rule.model_copy(update={"answer": "SOMETHING ELSE"}) if rule.receive.upper() == identity.ask.upper() else rule
        for rule in sim.on
    ]
    _require(rules != sim.on, f"[sim] does not answer {identity.ask!r} under just that text")
    other = SimDeclared(trial.declaration.model_copy(update={"sim": sim.model_copy(update={"on": rules})}))
    with serve_tcp(other, lift_baud=True) as port:
        device = _device(trial.declaration, port)
        try:
            await device.connect()
        except WrongInstrument:
            return
        finally:
            await asyncio.to_thread(device.close)
    raise TrialFailure("an instrument that calls itself SOMETHING ELSE was taken", hint="narrow identity.pattern")


async def round_trips(trial: Trial) -> None:
    """What is written comes back."""
    if not any(signal.ask and signal.tell for _, _, signal in trial.signals()):
        raise NotApplicable("nothing can be written and read")
    for part, name, signal in trial.signals():
        if not (signal.ask and signal.tell):
            continue
        target = getattr(part, name)
        limits = part._link_connector.backend_of(target).limits
        taken = 0
        for value in allowed(signal, limits, target.datatype):
            try:
                await target.set(value)
            except InstrumentError:
                continue  # it depends on another setting; some value must be taken
            taken += 1
            now = await target.get_value()
            _require(alike(now, value, signal), f"{target.name}: wrote {value!r}, read {now!r}")
        _require(taken, f"{target.name}: the instrument took none of its values")


async def refuses(trial: Trial) -> None:
    """What is outside the limits, or no finite number, is refused before a byte is sent."""
    for part, name, signal in trial.signals():
        if not signal.tell or signal.type not in {"float", "int"}:
            continue
        target = getattr(part, name)
        limits = part._link_connector.backend_of(target).limits
        bad: list[float] = list(NOT_FINITE) if signal.type == "float" else []
        bad += outside(limits) if limits is not None else []
        before = trial.received
        for value in bad:
            try:
                await target.set(value if signal.type == "float" else int(value))
            except LimitError:
                continue
            except RdaqError as error:
                raise TrialFailure(f"{target.name}: took {value}, and then: {error}") from error
            raise TrialFailure(f"{target.name}: took {value}", hint="give it limits")
        _require(trial.received == before, f"{target.name}: sent something for a value that it refused")


async def complains(trial: Trial) -> None:
    """What the instrument says of a bad command is raised, and the next command is not blamed for it."""
    errors, sim, checker = trial.declaration.errors, trial.declaration.sim, trial.device.write_checker
    if errors is None or sim is None or checker is None:
        raise NotApplicable("no [errors]")
    if not (sim.unknown.error or sim.unknown.set):
        raise NotApplicable("[sim] says nothing of unknown commands")
    try:
        await trial.device.channel.checked(NONSENSE, checker, safe=True)
    except InstrumentError:
        left = await trial.device.empty_errors()
        _require(not left, f"errors are left: {left}")
        return
    raise TrialFailure(f"{NONSENSE!r} was taken without complaint", hint="see [errors] and [sim] unknown")


async def stops(trial: Trial) -> None:
    """A stop returns in time, also the second one, and does not harm."""
    parts = [part for part in trial.device.parts.values() if hasattr(part, "movable_logic")]
    movable = [*parts, *([trial.device] if hasattr(trial.device, "movable_logic") else [])]
    moves = []
    for part in movable:
        logic: Any = part.movable_logic  # type: ignore[attr-defined]
        low, high = logic.limits() or (0.0, 10.0)
        with contextlib.suppress(LimitError):  # not ready to move: a stop must work all the same
            await logic.check_move((low + high) / 2)
            moves.append(part.set((low + high) / 2))  # type: ignore[attr-defined]
    for _ in range(2):
        await _in_time(trial.device.stop(), "a stop")
    for move in moves:
        with contextlib.suppress(MoveInterrupted, RuntimeError):  # stopped
            await _in_time(move, "a move that was stopped")


async def _in_time(awaitable: Awaitable[object], what: str) -> None:
    try:
        await asyncio.wait_for(awaitable, STOP_BOUND)
    except TimeoutError as error:
        raise TrialFailure(f"{what} did not end within {STOP_BOUND:g} s", hint="see [stop] and [movable]") from error


async def made_safe(trial: Trial) -> None:
    """Stop-all's part on its link ends in a confirmation of everything that has a safe state."""
    for part, name, signal in trial.signals():
        if signal.type == "bool" and signal.safe == [False]:
            with contextlib.suppress(InstrumentError):
                await getattr(part, name).set(True)
    safety = trial.device.channel.link.safety
    wanted = [part.name for part in (trial.device, *trial.device.parts.values()) if part.scope.safe_state is not None]
    if not wanted:
        raise NotApplicable("no safe_state")
    await asyncio.to_thread(safety.halt)
    verdicts = await asyncio.to_thread(safety.confirm)
    _require(sorted(v.device for v in verdicts) == sorted(wanted), f"verdicts for {[v.device for v in verdicts]}")
    for verdict in verdicts:
        part = next(p for p in (trial.device, *trial.device.parts.values()) if p.name == verdict.device)
        proves = part.scope.safe_state is not None and part.scope.safe_state.ask
        outcome = Outcome.CONFIRMED if proves else Outcome.UNCONFIRMED
        _require(verdict.outcome is outcome, f"{verdict.device}: {verdict.outcome.value}: {verdict.detail}")
    for part, name, signal in trial.signals():
        if signal.type == "bool" and signal.safe == [False] and part.scope.safe_state is not None:
            _require(not await getattr(part, name).get_value(), f"{part.name}-{name} is on after a stop")


async def mocks(trial: Trial) -> None:
    """It works without an instrument."""
    made: Declared = class_of(trial.declaration)("tcp://127.0.0.1:9", "mock", address=_address(trial.declaration))
    await made.connect(mock=True)
    readings = await made.read()
    _require(readings.keys() == (await made.describe()).keys(), "read and describe differ in mock mode")


def _address(declaration: Declaration) -> int | None:
    return 1 if declaration.link.address else None


STEPS: tuple[Callable[[Trial], Awaitable[None]], ...] = (
    reads,
    knows_itself,
    round_trips,
    refuses,
    complains,
    stops,
    made_safe,
    mocks,
)
"""In the order in which they are run."""
