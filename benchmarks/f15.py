"""F15: frames and samples through server and client of the product, against bare gRPC; also over longer lines."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks import Result, times
from benchmarks._child import Child
from benchmarks._frame_server import frame_server
from benchmarks._proxy import longer
from benchmarks._writers import scratch

NAME = "F15"
TITLE = "frames of 512² and 2048², and samples in 64 KB blocks, to another process, also at 2 and 20 ms of round trip"
TRIPS = (0.0, 0.002, 0.02)[: times(3, 1)]
SIZES = (512, 2048)
BLOCK = 64 << 10
"""Bytes of samples that come at once; of a bare message."""
SECONDS = times(0.3, 0.1)
ROUNDS = times(11, 1)
"""Of frames: one of them is off by a fifth, as the machine has it. Samples, far from the goal, come in every third one,
and so does the bare program that has our client's memory."""
THIRD = 3
GOAL = 0.9
GIGABIT = 125e6
"""Bytes a second of a line of 1 Gbit/s."""


@dataclass
class Case:
    """Frames of one size, or samples, over one line, bytes/s.

    :param size: pixels along an edge; None for samples.
    """

    size: int | None
    trip: float
    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    tuned: list[float] = field(default_factory=list)
    """Ours as a multiple of bare in the process of our client, which has told the C library to keep what is freed; for
    frames."""

    @property
    def nbytes(self) -> int:
        """Of a frame, or block."""
        return BLOCK if self.size is None else 2 * self.size**2

    def add(self, round_: dict[str, float]) -> None:
        """What one round gave, bytes/s, by who it was."""
        self.ours.append(round_["ours"])
        self.bare.append(round_["bare"])
        if "tuned" in round_:
            self.tuned.append(round_["ours"] / round_["tuned"])

    @property
    def ratio(self) -> float:
        """To a bare program by itself: of the rounds' ratios the middle one."""
        return statistics.median(our / bare for our, bare in zip(self.ours, self.bare, strict=True))

    def __str__(self) -> str:
        ours, bare = statistics.median(self.ours), statistics.median(self.bare)
        what, unit = ("samples", "blocks") if self.size is None else (f"{self.size}²", "frames")
        tuned = f"; with our client's memory {statistics.median(self.tuned):.2f}" if self.tuned else ""
        return (
            f"{what}, round trip {1e3 * self.trip:g} ms more: {ours / 1e6:.0f} MB/s "
            f"({ours / self.nbytes:.0f} {unit}/s), bare gRPC {bare / 1e6:.0f} MB/s: {self.ratio:.2f}{tuned}"
        )


def _measure(cases: list[Case]) -> None:
    """Round by round, ours and bare in turn."""
    with scratch() as directory, ExitStack() as stack:
        server = stack.enter_context(frame_server(directory, "served"))
        bare = stack.enter_context(Child("benchmarks._bare"))
        client, by_itself = (stack.enter_context(Child("benchmarks._frame_client")) for _ in range(2))
        _ours(server, client, cases[0], server.ready)  # from now on its process has that memory
        lines = {trip: [longer(stack, address, trip) for address in (server.ready, bare.ready)] for trip in TRIPS}
        for turn in range(ROUNDS):
            for case in cases if turn % 2 else reversed(cases):
                third, part = divmod(turn, THIRD)
                if case.size is None and part:
                    continue
                near, other = lines[case.trip]
                asked: dict[str, Any] = {
                    "what": "bare",
                    "address": other,
                    "request": str(case.nbytes),
                    "seconds": SECONDS,
                    "trip": case.trip,
                }
                ways: dict[str, Callable[[], dict[str, float]]] = {
                    "ours": partial(_ours, server, client, case, near),
                    "bare": partial(by_itself.ask, **asked),
                }
                if case.size is not None and not part:
                    ways["tuned"] = partial(client.ask, **asked)
                # By another count than the order of the cases goes by: else the two could not be told apart.
                case.add(_in_turn(ways, turn // 2 if part else third))


def _in_turn(ways: dict[str, Callable[[], dict[str, float]]], turn: int) -> dict[str, float]:
    """Bytes a second of each; another one is first in another turn."""
    names = list(ways)
    first = turn % len(names)
    return {name: ways[name]()["bytes"] for name in names[first:] + names[:first]}


def _ours(server: Child, client: Child, case: Case, address: str) -> dict[str, float]:
    """What the product's client got."""
    if case.size is not None:
        server.ask(what="ready", size=case.size)
        return client.ask(what="ours", address=address, seconds=SECONDS, trip=case.trip)  # type: ignore[no-any-return]
    client.tell(what="samples", address=address, seconds=SECONDS, trip=case.trip)
    client.answer()  # it listens
    server.ask(what="sampling", nbytes=BLOCK)
    got: dict[str, float] = client.answer()
    server.ask(what="sampling", nbytes=0)
    if got["dropped"]:
        raise RuntimeError(f"{got['dropped']} samples were dropped, of a source that waits")
    return got


def measure() -> Result:
    """Every size over every line; the worst of them is the figure."""
    cases = [Case(size, trip) for trip in TRIPS for size in (*SIZES, None)]
    _measure(cases)
    worst = min(cases, key=lambda case: case.ratio)
    tuned = min(statistics.median(case.tuned) for case in cases if case.tuned)
    slowest = min(statistics.median(case.ours) for case in cases)
    return Result(
        figure=statistics.median(worst.ours) / 1e6,
        peer=statistics.median(worst.bare) / 1e6,
        ratio=worst.ratio,
        goal=GOAL,
        unit="MB/s",
        peer_name="bare grpc.aio, raw bytes, no camera",
        notes=[
            f"uint16 frames, float32 samples; the figure is the worst, of {ROUNDS} rounds of {SECONDS:g} s each "
            f"({len(cases[-1].ours)} of samples, and of the second ratio):",
            *map(str, cases),
            "samples: blocks of 64 KB as long as fewer than 256 wait; ours sends those that have come together, up to "
            "1 MB; bare messages have 64 KB each",
            "frames: both copy each from one of four buffers in turn; a camera's leases on these are made before",
            "servers, clients and the proxies that make the lines longer are processes of their own on this machine; "
            "ours has leases, headers and credits besides the bytes",
            "the C library gives the memory of a large message back to the system and gets it anew for the next one, "
            "page by page, unless told to keep it. Our client tells it, a bare one by itself does not; the second "
            f"ratio is to one in a process that has been told, {tuned:.2f} at its worst",
        ],
        also={"at least 125 MB/s over every line": slowest >= GIGABIT},
    )
