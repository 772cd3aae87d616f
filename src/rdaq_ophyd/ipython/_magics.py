"""Beamline-style magics: ``%wa %mov %movr %ct %stop %save %restore %serve``."""

from __future__ import annotations

import math
from typing import Any

from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.protocols import Locatable, Movable, Readable
from bluesky.run_engine import call_in_bluesky_event_loop
from IPython.core.magic import Magics, line_magic, magics_class

from rdaq_ophyd.errors import LimitError, RdaqError, UnitsError
from rdaq_ophyd.startup import Session, halt_all
from rdaq_ophyd.stop import latch

from ._where import table, where

__all__ = ["RdaqMagics"]


@magics_class
class RdaqMagics(Magics):
    """The magics of one session."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self._session = session
        self._names: dict[str, Any] = shell.user_ns

    def _devices(self, names: list[str]) -> list[Any]:
        return [self._session.rig[name] for name in names]

    def _axes(self, names: list[str]) -> list[Any]:
        return self._devices(names) or [d for d in self._session.rig.devices.values() if isinstance(d, Locatable)]

    @line_magic
    def wa(self, line: str) -> None:
        """Where all axes are: ``%wa``, ``%wa x y``. Readback, setpoint, limits, units."""
        self._show(self._axes(line.split()))

    def _show(self, axes: list[Any]) -> None:
        print(table(call_in_bluesky_event_loop(where(axes))))  # noqa: T201

    @line_magic
    def mov(self, line: str) -> None:
        """Move axes to positions: ``%mov x 1.5``, ``%mov x 1.5 mm y 0``."""
        self._move(line, relative=False)

    @line_magic
    def movr(self, line: str) -> None:
        """Move axes by distances: ``%movr x -0.1``, ``%movr x 10 mm y 1``."""
        self._move(line, relative=True)

    def _move(self, line: str, *, relative: bool) -> None:
        moves = self._parse(line.split())
        arguments = [item for move in moves for item in move]
        self._session.RE(bps.mvr(*arguments) if relative else bps.mv(*arguments))
        self._show([axis for axis, _ in moves])

    def _parse(self, words: list[str]) -> list[tuple[Any, float]]:
        """``x 1.5 mm y 0`` as moves; the unit is optional, and must be the axis' own."""
        if not words:
            raise RdaqError("nothing to move", hint="%mov AXIS POSITION [UNIT] ...")
        moves: list[tuple[Any, float]] = []
        rest = list(words)
        while rest:
            name = rest.pop(0)
            axis = self._session.rig[name]
            if not isinstance(axis, Movable):
                raise RdaqError(f"{name} is a {type(axis).__name__}, not an axis", hint="%wa lists the axes")
            if not rest:
                raise RdaqError(f"no position given for {name}", hint="%mov AXIS POSITION [UNIT] ...")
            position = self._number(axis, rest.pop(0))
            if rest and not self._known(rest[0]):
                self._check_unit(axis, rest.pop(0))
            moves.append((axis, position))
        return moves

    def _known(self, word: str) -> bool:
        return word.split(".")[0] in {*self._session.rig.devices, *self._session.rig.failures}

    def _number(self, axis: Any, word: str) -> float:
        value = _float(axis, self._names.get(word, word))
        if not math.isfinite(value):
            raise LimitError(f"{axis.name}: {word} is not a finite position", hint="%wa shows the limits")
        return value

    def _check_unit(self, axis: Any, unit: str) -> None:
        (row,) = call_in_bluesky_event_loop(where([axis]))
        if unit != row.units:
            raise UnitsError(f"{axis.name} moves in {row.units or 'a number without unit'}, not {unit!r}",
                             hint=f"give the position in {row.units or 'no unit'}")  # fmt: skip

    @line_magic
    def ct(self, line: str) -> None:
        """Take one reading: ``%ct`` of all detectors, ``%ct power_meter cam`` of some. Recorded as a run."""
        found = self._devices(line.split()) or [
            d for d in self._session.rig.devices.values() if isinstance(d, Readable) and hasattr(d, "trigger")
        ]
        if not found:
            raise RdaqError("this rig has no detector", hint="%ct NAME reads any readable device")
        self._session.RE(bp.count(found))

    @line_magic
    def stop(self, line: str) -> None:
        """Stop axes now, and refuse nothing: ``%stop`` all, ``%stop x`` one."""
        devices = self._devices(line.split()) or list(self._session.rig.devices.values())
        halt_all(devices)

    @line_magic
    def stop_all(self, line: str) -> None:
        """Stop everything and refuse all else until it is reset: ``%stop_all smoke``. A plan in progress is over."""
        print(self._session.stop_all(line.strip() or "%stop_all"))  # noqa: T201
        self._session.RE.plan_end.wait()

    @line_magic
    def reset_stop(self, line: str) -> None:
        """Accept commands again: ``%reset_stop REASON``, with ``--force`` although a device is not confirmed."""
        if not latch.tripped:
            print("nothing is stopped")  # noqa: T201
            return
        words = line.split()
        self._session.reset(" ".join(w for w in words if w != "--force"), force="--force" in words)
        print("commands are accepted again; nothing was started")  # noqa: T201

    @line_magic
    def serve(self, line: str) -> None:
        """Let other programs on this machine use the session, until it ends: ``%serve``, ``%serve PORT``."""
        from rdaq_ophyd.server import Access, serve  # gRPC: only where it is wanted

        if line.strip() and not line.strip().isdecimal():
            raise RdaqError(f"{line.strip()!r} is no port", hint="%serve, or %serve 50051")
        self._names["server"] = server = serve(self._session, Access(port=int(line.strip() or 0)), page=0)
        print(f"{server.address} (rdaq ls --host {server.address}); in the browser: {server.page}")  # noqa: T201

    @line_magic
    def save(self, line: str) -> None:
        """Save where axes stand under a name: ``%save focus x y`` (all axes when none is named)."""
        name, *axes = line.split() or [""]
        if not name:
            raise RdaqError("no name given", hint="%save NAME [AXIS ...]")
        self._session.RE(self._session.positions.save(name, [a.name for a in self._axes(axes)]))
        print(self._session.positions)  # noqa: T201

    @line_magic
    def restore(self, line: str) -> None:
        """Move back to a saved position: ``%restore focus``; alone, list them."""
        if line.strip():
            self._session.RE(self._session.positions.restore(line.strip()))
        else:
            print(self._session.positions)  # noqa: T201


def _float(axis: Any, word: Any) -> float:
    try:
        return float(word)
    except (TypeError, ValueError):
        raise RdaqError(f"{axis.name}: {word!r} is not a position", hint="%mov AXIS POSITION [UNIT] ...") from None
