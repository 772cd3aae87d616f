"""F15: frames and samples through server and client of the product, against bare gRPC; also over longer lines."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import Result, times
from benchmarks._child import Child
from benchmarks._frame_server import frame_server
from benchmarks._proxy import longer
from benchmarks._writers import scratch

NAME = "F15"
TITLE = "frames of 512² and 2048² pixels to a client in another process, also at 2 and 20 ms of round trip"
TRIPS = (0.0, 0.002, 0.02)[: times(3, 1)]
SIZES = (512, 2048)
SECONDS = times(0.6, 0.2)
ROUNDS = times(4, 1)
GOAL = 0.9
GIGABIT = 125e6
"""Bytes a second of a line of 1 Gbit/s."""


@dataclass
class Case:
    """One size over one line, bytes/s."""

    size: int
    trip: float
    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the rounds, the middle one."""
        return statistics.median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))

    def __str__(self) -> str:
        ours, bare = statistics.median(self.ours), statistics.median(self.bare)
        return (
            f"{self.size}², round trip {1e3 * self.trip:g} ms more: {ours / 1e6:.0f} MB/s "
            f"({ours / (2 * self.size**2):.0f} frames/s), bare gRPC {bare / 1e6:.0f} MB/s: {self.ratio:.2f}"
        )


def _measure(cases: list[Case]) -> None:
    """Round by round, ours and bare in turn."""
    with scratch() as directory, ExitStack() as stack:
        server = stack.enter_context(frame_server(directory, "served"))
        bare = stack.enter_context(Child("benchmarks._bare"))
        client = stack.enter_context(Child("benchmarks._frame_client"))
        lines = {trip: [longer(stack, address, trip) for address in (server.ready, bare.ready)] for trip in TRIPS}
        for turn in range(ROUNDS):
            for case in cases if turn % 2 else reversed(cases):
                near, other = lines[case.trip]
                server.ask(what="ready", size=case.size)
                case.ours.append(client.ask(what="ours", address=near, seconds=SECONDS)["bytes"])
                pixels = str(2 * case.size**2)
                case.bare.append(client.ask(what="bare", address=other, request=pixels, seconds=SECONDS)["bytes"])


def measure() -> Result:
    """Every size over every line; the worst of them is the figure."""
    cases = [Case(size, trip) for trip in TRIPS for size in SIZES]
    _measure(cases)
    worst = min(cases, key=lambda case: case.ratio)
    slowest = min(statistics.median(case.ours) for case in cases)
    return Result(
        figure=statistics.median(worst.ours) / 1e6,
        peer=statistics.median(worst.bare) / 1e6,
        ratio=worst.ratio,
        goal=GOAL,
        unit="MB/s",
        peer_name="bare grpc.aio, raw bytes, no camera",
        notes=[
            f"uint16 frames; the figure is the worst of these, middle of {ROUNDS} rounds of {SECONDS:g} s each:",
            *map(str, cases),
            "server, client and the proxies that make the lines longer are processes of their own on this machine; "
            "ours has leases, headers and credits besides the bytes",
        ],
        also={"at least 125 MB/s over every line": slowest >= GIGABIT},
    )
