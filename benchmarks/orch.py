"""ORCH: one owner that holds the instrument against a lock in every consumer's hand, under mixed reads and writes."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks import Result, spread, times
from benchmarks._apart import Apart
from benchmarks._cancels import LATENCY as CANCEL_LATENCY
from benchmarks._cancels import Tally, through_link, through_lock
from benchmarks._locked import LockedPort
from benchmarks._stops import QUESTION, delays, locked, open_link, ours

NAME = "ORCH"
TITLE = "one owner with lanes against a lock for every consumer: exchanges a second of 50 consumers that read and write"
LATENCY = 0.002
CONSUMERS = (1, 10, 50)
SECONDS, ROUNDS = 1.0, 2
WRITE = b"1VA2.0\r1VA?\r"
"""Set and read back, in one piece; every fifth exchange is one."""
CANCELS = 200
GOAL = 0.95

Ask = Callable[[bytes], Awaitable[bytes]]


@dataclass
class Load:
    """What consumers saw."""

    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    fairness: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        fair = f"Jain's index {min(self.fairness):.3f}"
        return f"{statistics.median(self.rates):.0f}/s, {spread(self.seconds, 'ms', 1e3)}, {fair}"


def jain(counts: list[int]) -> float:
    """1: everybody got as much; 1/n: one got all."""
    return sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))


async def _consume(ask: Ask, consumers: int, load: Load) -> None:
    """Every consumer asks again as soon as it was answered."""
    await ask(QUESTION)
    counts = [0] * consumers
    began = time.perf_counter()
    end = began + times(SECONDS, 0.2)

    async def go_on(number: int) -> None:
        for turn in itertools.count(random.randrange(5)):
            start = time.perf_counter()
            if start >= end:
                return
            await ask(QUESTION if turn % 5 else WRITE)
            load.seconds.append(time.perf_counter() - start)
            counts[number] += 1

    await asyncio.gather(*map(go_on, range(consumers)))
    load.rates.append(sum(counts) / (time.perf_counter() - began))
    load.fairness.append(jain(counts))


async def _owner(url: str, consumers: int, load: Load) -> None:
    link = open_link(url)
    try:
        await _consume(link.ask, consumers, load)
    finally:
        await asyncio.to_thread(link.close)


async def _locks(url: str, consumers: int, load: Load) -> None:
    port = LockedPort(url, timeout=2.0)
    try:
        await _consume(port.ask, consumers, load)
    finally:
        port.close()


def _stops(bench: Apart) -> dict[str, list[float]]:
    """Delay of a stop while 50 consumers are busy, design by design."""
    trials, few = times(30, 3), times(6, 1)
    found = {}
    sides: dict[str, tuple[Any, int]] = {
        "fair lock": (lambda: locked(bench.url, 50), few),
        "fair lock, and a flag at which consumers give way": (lambda: locked(bench.url, 50, flag=True), trials),
        "owner, urgent lane": (lambda: ours(bench.url, 50, preempt=False), trials),
        "owner, preempting write": (lambda: ours(bench.url, 50), trials),
    }
    for name, (make, number) in sides.items():
        with make() as side:
            found[name] = delays(side, bench, number)
    return found


def _cancels() -> dict[str, Tally]:
    number = times(CANCELS, 20)
    ways: dict[str, Callable[[str, int], Tally]] = {
        "fair lock": through_lock,
        "fair lock, input flushed before each command": partial(through_lock, flush=True),
        "fair lock, exchange shielded": partial(through_lock, shield=True),
        "owner": through_link,
    }
    found = {}
    for name, way in ways.items():
        with Apart(latency=CANCEL_LATENCY) as bench:  # a line that nobody has put out of step
            found[name] = way(bench.url, number)
    return found


def measure() -> Result:
    """Load, stops and cancels, the designs in turn on one port."""
    loads = {(name, n): Load() for n in CONSUMERS for name in ("owner", "locks")}
    with Apart(latency=LATENCY) as bench:
        for _ in range(times(ROUNDS, 1)):
            for n in CONSUMERS:
                asyncio.run(_owner(bench.url, n, loads["owner", n]))
                asyncio.run(_locks(bench.url, n, loads["locks", n]))
        stops = _stops(bench)
    cancels = _cancels()
    rate = {name: statistics.median(loads[name, CONSUMERS[-1]].rates) for name in ("owner", "locks")}
    return Result(
        figure=rate["owner"],
        peer=rate["locks"],
        ratio=rate["owner"] / rate["locks"],
        goal=GOAL,
        unit="/s",
        peer_name="a fair asyncio.Lock per port",
        notes=[
            f"instrument {LATENCY * 1e3:g} ms a command; of five exchanges one sets and reads back; no baud limit",
            *(f"{n} consumers, {name}: {load}" for (name, n), load in loads.items()),
            *(f"stop under 50 readers, {name}: {spread(values, 'ms', 1e3)}" for name, values in stops.items()),
            *(f"{name}: {tally}" for name, tally in cancels.items()),
        ],
        also={
            "the owner hands no reply to another question": cancels["owner"].wrong + cancels["owner"].mute == 0,
            "the owner sends nothing that was cancelled before its turn": cancels["owner"].sent == 0,
            "Jain's index of the owner at 50 consumers ≥ 0.99": min(loads["owner", CONSUMERS[-1]].fairness) >= 0.99,
        },
    )
