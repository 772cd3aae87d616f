"""F16: how old the frame is that a viewer draws, with a quick and a stalled client beside it; credits against push."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import Result, percentile, spread, times
from benchmarks._child import Child
from benchmarks._frame_server import SIZE, frame_server
from benchmarks._proxy import longer
from benchmarks._writers import memory_for, scratch

NAME = "F16"
TITLE = "age of the frame that a viewer draws at 30 frames/s, camera at 200, a quick and a stalled client beside it"
TRIPS = (0.0, 0.002, 0.02)[: times(3, 1)]
SOURCE, VIEWER = 200.0, 30.0
SECONDS = times(2.0, 1.0)
CLIENTS = {"viewer": 1 / VIEWER, "quick": 0.0, "stalled": None}
FLIGHTS = times(5, 1)
"""Of ours over each line, and one of push. Of a flight the worst frames count, of all of them the middle one: a machine
that stands still for 0.1 s makes three frames in a row old, a hundredth of what a viewer draws in 10 s. So with what a
camera keeps and loses: it has no buffers for as long, whoever looks on."""
GOAL = 0.06
GROWTH = 20 << 20
KEPT = 0.98
NBYTES = round(SOURCE * SECONDS) * SIZE**2 * 2
"""Of the frames of a flight."""
_LISTENING = 20.0


@dataclass
class Side:
    """What one way of sending did over one line."""

    viewer: list[list[float]] = field(default_factory=list)  # ages of each flight
    quick: list[float] = field(default_factory=list)
    drawn: list[float] = field(default_factory=list)
    grew: list[int] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    stalled: int = 0

    @property
    def p99s(self) -> list[float]:
        """The viewer's, of each flight."""
        return sorted(percentile(ages, 99) for ages in self.viewer)

    @property
    def p99(self) -> float:
        """Of the middle flight."""
        return statistics.median(self.p99s)

    def __str__(self) -> str:
        return (
            f"viewer p99 {', '.join(f'{1e3 * p99:.3g}' for p99 in self.p99s)} ms a flight, "
            f"all {spread([age for ages in self.viewer for age in ages], 'ms', 1e3)} "
            f"at {statistics.median(self.drawn):.0f} frames/s; quick client {spread(self.quick, 'ms', 1e3)}; "
            f"camera at {min(self.kept):.3f} of its rate or more, lost {'+'.join(map(str, self.lost))}; "
            f"the server grew by {max(self.grew) / 2**20:.1f} MB"
        )


def _fly(server: Child, clients: dict[str, Child], kind: str, address: str, side: Side, files: Path) -> None:
    """The camera takes frames into a file below a folder while all look on."""
    with memory_for(files, NBYTES):
        for name, client in clients.items():
            client.tell(what="watch", kind=kind, address=address, draw=CLIENTS[name], seconds=SECONDS + 1.0)
        end = time.monotonic() + _LISTENING
        while server.ask(what="audience") < len(clients):
            if time.monotonic() > end:
                raise TimeoutError(f"the clients did not listen within {_LISTENING:g} s")
        flight = server.ask(what="fly", rate=SOURCE, seconds=SECONDS)
    ages: dict[str, Any] = {name: client.answer()["ages"] for name, client in clients.items()}
    # Connections get a fifth of the time to open their windows.
    side.viewer.append(ages["viewer"][len(ages["viewer"]) // 5 :])
    side.quick += ages["quick"][len(ages["quick"]) // 5 :]
    side.drawn.append(len(ages["viewer"]) / SECONDS)
    side.stalled += len(ages["stalled"])
    side.grew.append(flight["grew"])
    side.kept.append(flight["rate"] / SOURCE)
    side.lost.append(flight["lost"])


def _order() -> list[str]:
    flights = ["served"] * FLIGHTS
    flights.insert(FLIGHTS // 2, "push")
    return flights


def _measure() -> dict[tuple[str, float], Side]:
    sides = {(kind, trip): Side() for trip in TRIPS for kind in ("served", "push")}
    with scratch() as directory, ExitStack() as stack:
        servers = {kind: stack.enter_context(frame_server(directory / kind, kind)) for kind in ("served", "push")}
        clients = {name: stack.enter_context(Child("benchmarks._frame_client")) for name in CLIENTS}
        for kind, server in servers.items():  # what only the first flight takes
            _fly(server, clients, kind, server.ready, Side(), directory / kind)
        for trip in TRIPS:
            lines = {kind: longer(stack, server.ready, trip) for kind, server in servers.items()}
            for kind in _order():
                _fly(servers[kind], clients, kind, lines[kind], sides[kind, trip], directory / kind)
    return sides


def measure() -> Result:
    """Push among the flights of credits over each line."""
    sides = _measure()
    ours, push = ([sides[kind, trip] for trip in TRIPS] for kind in ("served", "push"))
    late = [side.p99 - trip for side, trip in zip(ours, TRIPS, strict=True)]
    return Result(
        figure=1e3 * ours[0].p99,
        peer=1e3 * push[0].p99,
        ratio=max(late) / GOAL,
        goal=1.0,
        unit="ms p99",
        peer_name="push without credits",
        at_most=True,
        notes=[
            f"{SIZE}² uint16 at {SOURCE:g} frames/s into a file, {SECONDS:g} s a flight; server and every client "
            f"in a process of its own; the ratio is p99 of the middle one of {FLIGHTS} flights, less the round trip, "
            "at its worst, to 60 ms; of the 50 frames or so of a flight that is the oldest, or the one before",
            *(
                f"round trip {1e3 * trip:g} ms more, {name}: {side}"
                for trip, *both in zip(TRIPS, ours, push, strict=True)
                for name, side in zip(("credits", "push"), both, strict=True)
            ),
        ],
        also={
            "the server grows by at most 20 MB": max(max(side.grew) for side in ours) <= GROWTH,
            "in most flights the camera keeps 0.98 of its rate and loses nothing": all(
                statistics.median(side.kept) >= KEPT and not statistics.median(side.lost) for side in ours
            ),
        },
    )
