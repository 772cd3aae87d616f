"""Named positions: where the axes stood, to go back there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Location
from bluesky.utils import Msg, MsgGenerator

from rdaq_ophyd.errors import RdaqError, UnknownName
from rdaq_ophyd.rig import Rig

from ._kept import replace_file, told_in_words

__all__ = ["Positions"]

FORMAT = 1


class Positions:
    """Positions of a rig's axes under a name, kept in one JSON file of the data directory.

    :param path: the file; it bears a format version.
    """

    def __init__(self, path: Path, rig: Rig) -> None:
        self._path = path
        self._rig = rig
        self._all: dict[str, dict[str, Any]] = self._load()

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            data = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RdaqError(f"{self._path}: not a file of positions: {error}", hint="mend or remove it") from error
        version = data.get("version") if isinstance(data, dict) else None
        if version != FORMAT:
            raise RdaqError(f"{self._path}: format {version}, this program knows {FORMAT}", hint="remove or mend it")
        positions: dict[str, dict[str, Any]] = data["positions"]
        return positions

    def __getitem__(self, name: str) -> dict[str, float]:
        if name not in self._all:
            raise UnknownName.among("position", name, self._all)
        axes: dict[str, float] = self._all[name]["axes"]
        return axes

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        rows = (f"  {name}: {', '.join(f'{a}={v:g}' for a, v in p['axes'].items())}" for name, p in self._all.items())
        return "\n".join(["positions:", *rows]) if self._all else "no positions saved"

    def put(self, name: str, axes: dict[str, float]) -> None:
        """Keep axis positions (in each axis' own units) under a name, replacing what had it."""
        self._all[name] = {"axes": axes, "time": time.time()}
        self._write()

    def remove(self, name: str) -> None:
        """Forget a position."""
        self[name]
        del self._all[name]
        self._write()

    def _write(self) -> None:
        text = json.dumps({"version": FORMAT, "positions": self._all}, indent=1)
        with told_in_words(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, text.encode())

    def save(self, name: str, axes: Iterable[str]) -> MsgGenerator[dict[str, float]]:
        """Plan: read where the axes stand and keep that under ``name``."""
        found: dict[str, float] = {}
        for axis in axes:
            location: Location[float] = yield Msg("locate", self._rig[axis])
            found[axis] = float(location["readback"])
        self.put(name, found)
        return found

    def restore(self, name: str) -> MsgGenerator[None]:
        """Plan: move all axes of a saved position back to it, together."""
        moves: list[Any] = []
        for axis, value in self[name].items():
            moves += [self._rig[axis], value]
        yield from bps.mv(*moves)
