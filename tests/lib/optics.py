"""Runs on the simulated rig, kept in memory: Tiled takes seconds to start, and a wait after each run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bluesky import plan_stubs as bps

from rdaq_ophyd.catalog import EmbeddedCatalog


def no_tiled(patch: pytest.MonkeyPatch) -> None:
    """Sessions spool their runs, and nobody delivers them."""
    patch.setattr(EmbeddedCatalog, "start", lambda _self: None)
    patch.setattr(EmbeddedCatalog, "ready", lambda _self: "http://127.0.0.1")
    patch.setattr(EmbeddedCatalog, "wait_drained", lambda *_a, **_k: True)


def brisk(session: Any) -> None:
    """Motors on and as fast as their stages may be; a meter that does not average."""
    axes = [session.rig[name] for name in ("x", "y", "z")]
    moves: list[Any] = [session.rig["power_meter"].filter, "fast"]
    for axis in axes:
        moves += [axis.enabled, True, axis.acceleration, 800.0, axis.deceleration, 800.0]
    session.RE(bps.mv(*moves))


class Run:
    """The documents of one run."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.start, self.stop, self.frames = start, {}, 0
        self._descriptors: dict[str, dict[str, Any]] = {}
        self._events: dict[tuple[str, int], dict[str, Any]] = {}

    def take(self, name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor":
            self._descriptors[doc["uid"]] = doc
        elif name == "event":  # a replayed one replaces the one that it repeats
            self._events[self._descriptors[doc["descriptor"]]["name"], doc["seq_num"]] = doc
        elif name == "stream_datum":
            self.frames = max(self.frames, doc["indices"]["stop"])
        elif name == "stop":
            self.stop = doc

    def _of(self, stream: str) -> Iterator[dict[str, Any]]:
        return (self._events[key] for key in sorted(self._events) if key[0] == stream)

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """The values of each event."""
        return [doc["data"] for doc in self._of(stream)]

    def times(self, stream: str) -> list[float]:
        """When each event was."""
        return [doc["time"] for doc in self._of(stream)]

    def units(self, stream: str) -> dict[str, str]:
        """Of each data key."""
        (descriptor,) = (d for d in self._descriptors.values() if d["name"] == stream)
        return {key: said.get("units") or "" for key, said in descriptor["data_keys"].items()}


class Runs(list[Run]):
    """All runs of an engine while the context lasts."""

    __hash__ = object.__hash__  # the engine keeps its callbacks in a mapping

    def __init__(self, RE: Any) -> None:
        super().__init__()
        self._RE = RE

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            self.append(Run(doc))
        else:
            self[-1].take(name, doc)

    def __enter__(self) -> Runs:
        self._token = self._RE.subscribe(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._RE.unsubscribe(self._token)
