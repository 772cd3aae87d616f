"""The suite for an instrument that is declared in a file: the hints are in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st

from rdaq_ophyd.declaration import Declaration, Move, Scope, Signal, load
from rdaq_ophyd.devices.declared import Declared, class_of
from rdaq_ophyd.errors import DeclarationError
from rdaq_ophyd.link import Link
from rdaq_ophyd.signals import LinkDevice
from rdaq_ophyd.sim import Instrument, SimDeclared

from ._conformance import DriverConformance
from ._declared_sim import answers, changing, twin
from ._hints import Emission, Motion
from ._members import find

ADDRESS = 1
"""On a bus; as the simulation of the file has it."""
DWELL, POLL = 0.02, 0.01
"""Seconds at most that a move waits and pauses here: the file's are those of a real instrument."""
WORDS = st.sampled_from(["ABC", "X1"])
"""For settings that are texts, of which the file tells no more."""
GOES_ON = "its file declares no stop: nothing is sent"


class DeclaredConformance(DriverConformance):
    """The tests of an instrument from a file; ``declared_suite`` makes one, which can be subclassed for more hints.

    :cvar declaration: what the file says.
    :cvar driver: the class of the device.
    """

    declaration: ClassVar[Declaration]
    driver: ClassVar[type[Declared]]

    def simulate(self) -> Instrument:
        """As ``[sim]`` says."""
        return SimDeclared(self.declaration)

    def make(self, link: str | Link) -> LinkDevice:
        """The device; it waits less than the file says for a value to settle."""
        return self.driver(link, address=ADDRESS if self.declaration.link.address else None)

    def twin(self) -> Instrument | None:
        """One with another serial number in its answer to the question of ``[identity]``."""
        return twin(self.declaration)

    async def prepare(self, device: Any) -> None:
        """The settings that ``[sim] ready`` names."""
        for path, value in self.declaration.sim.ready.items() if self.declaration.sim else ():
            signal = find(device, path)
            await signal.set(signal.datatype(value))


def declared_suite(source: str | Path | Declaration) -> type[DeclaredConformance]:
    """The suite for the instrument of a file: ``TestLamp = declared_suite("lamp.toml")`` in a test file is all.

    Whatever has values that are ``safe`` and a ``safe_state`` is tried out as something that emits; what is movable
    needs a ``[[sim.move]]``.

    :param source: path of the file, or the name of an instrument that comes with this package.
    :raises UnknownName: there is no such file.
    :raises DeclarationError: the file is not what it must be, does not say how the instrument behaves, or names a part
        in ``[[sim.move]]`` that it has not.
    """
    declaration = source if isinstance(source, Declaration) else load(source)
    name = declaration.instrument.name
    if declaration.sim is None:
        raise DeclarationError(f"{name}: no [sim], so there is nothing to test it against", hint="say what it answers")
    scopes = dict(_scopes(declaration))
    hints = {
        "declaration": declaration,
        "driver": class_of(_brisk(declaration)),
        "motions": [_motion(name, move, scopes) for move in declaration.sim.move],
        "emissions": list(_emissions(declaration)),
        "values": {path: WORDS for path, signal in _written(declaration) if signal.type == "str"},
        "changing": list(changing(declaration, _signals(declaration))),
        "__doc__": f"The conformance of {declaration.instrument.manufacturer} {declaration.instrument.model}.",
    }
    return type(f"Test{name.title().replace('_', '')}", (DeclaredConformance,), hints)


def _scopes(declaration: Declaration) -> Iterator[tuple[str, tuple[Scope, Mapping[str, str]]]]:
    """Each part by its name in the device, with what stands for the places in its texts."""
    bus = {declaration.link.address: str(ADDRESS)} if declaration.link.address else {}
    yield "", (declaration, bus)
    for group, table in declaration.group.items():
        for channel, texts in table.channels.items():
            yield f"{group}_{channel}".lower(), (table, {**bus, **texts, "channel": channel})


def _signals(declaration: Declaration) -> Iterator[tuple[str, Signal, str]]:
    """Each signal that is asked for by its dotted name, with its question."""
    for part, (scope, fields) in _scopes(declaration):
        for name, signal in scope.signal.items():
            if signal.ask:
                yield f"{part}.{name}".lstrip("."), signal, signal.ask.format(**fields)


def _written(declaration: Declaration) -> Iterator[tuple[str, Signal]]:
    """Each setting by its dotted name."""
    for part, (scope, _) in _scopes(declaration):
        yield from ((f"{part}.{name}".lstrip("."), signal) for name, signal in scope.signal.items() if signal.tell)


def _emissions(declaration: Declaration) -> Iterator[Emission]:
    scopes = dict(_scopes(declaration))
    for path, signal, question in _signals(declaration):
        scope, _ = scopes[path.rpartition(".")[0]]
        if scope.safe_state is None or not isinstance(signal.safe, list) or not signal.tell:
            continue
        values: list[Any] = [True, False] if signal.type == "bool" else list(signal.codes)
        unsafe = [value for value in values if value not in signal.safe]
        if unsafe:
            yield Emission(path, partial(answers, signal, question, set(unsafe)), unsafe[-1])


def _motion(name: str, move: Move, scopes: Mapping[str, tuple[Scope, Mapping[str, str]]]) -> Motion:
    scope, _ = scopes.get(move.part, (None, None))
    if scope is None or scope.movable is None:
        raise DeclarationError(
            f"{name}: sim.move: {move.part!r} does not move", hint="name a channel as an attribute: output_1"
        )
    return Motion(
        part=move.part,
        near=move.near,
        far=move.far,
        moving=lambda sim, now: sim.holds(move.moving, now),
        tolerance=scope.movable.tolerance or 0.01,
        goes_on="" if scope.stop is not None else GOES_ON,
    )


def _brisk(declaration: Declaration) -> Declaration:
    return declaration.model_copy(
        update={
            "movable": _brisk_move(declaration),
            "group": {n: g.model_copy(update={"movable": _brisk_move(g)}) for n, g in declaration.group.items()},
        }
    )


def _brisk_move(scope: Scope) -> Any:
    movable = scope.movable
    if movable is None:
        return None
    return movable.model_copy(update={"dwell": min(movable.dwell, DWELL), "poll": min(movable.poll, POLL)})
