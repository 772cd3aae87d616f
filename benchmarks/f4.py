"""F4: queries a second through a link at 19200 baud, against what the wire allows."""

from __future__ import annotations

import asyncio
import statistics
import time

from benchmarks import Result, times
from benchmarks._apart import Apart
from benchmarks._byhand import by_hand
from benchmarks._stops import QUESTION, open_link
from rdaq_ophyd.link import Link

NAME = "F4"
TITLE = "queries a second through a link at 19200 baud against the limit of the wire"
LATENCY = 0.002
ANSWER = b"12.3456\r\n"
BAUD, BITS = 19_200, 10
WIRE = (len(QUESTION) + len(ANSWER)) * BITS / BAUD + LATENCY
"""Seconds that question, instrument and answer take."""
SECONDS, ROUNDS = 2.0, 3


def _link(url: str, tasks: int) -> float:
    link = open_link(url)
    try:
        return asyncio.run(_ask(link, tasks))
    finally:
        link.close()


async def _ask(link: Link, tasks: int) -> float:
    await link.ask(QUESTION)  # the link finds out first that the line is quiet
    count, start = 0, time.perf_counter()
    end = start + times(SECONDS, 0.2)

    async def go_on() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await link.ask(QUESTION)
            count += 1

    await asyncio.gather(*(go_on() for _ in range(tasks)))
    return count / (time.perf_counter() - start)


def _pyserial(url: str) -> float:
    with by_hand(url) as port:
        count, start = 0, time.perf_counter()
        end = start + times(SECONDS, 0.2)
        while time.perf_counter() < end:
            port.ask()
            count += 1
        return count / (time.perf_counter() - start)


def measure() -> Result:
    """The link with a queue, the link with one task, and blocking pyserial, in turn on one port."""
    found: dict[str, list[float]] = {"queue": [], "one": [], "pyserial": []}
    with Apart(latency=LATENCY, limit=True) as bench:
        for _ in range(times(ROUNDS, 1)):
            found["queue"].append(_link(bench.url, 4))
            found["pyserial"].append(_pyserial(bench.url))
            found["one"].append(_link(bench.url, 1))
    limit = 1 / WIRE
    rate = {name: statistics.median(rates) for name, rates in found.items()}
    return Result(
        figure=rate["queue"],
        peer=limit,
        ratio=rate["queue"] / limit,
        goal=0.95,
        unit="/s",
        peer_name="bytes × 10 / baud + latency of the instrument",
        notes=[
            f"{len(QUESTION)} bytes asked, {len(ANSWER)} answered, instrument {LATENCY * 1e3:g} ms: "
            f"{WIRE * 1e3:.2f} ms an exchange",
            f"four tasks that ask: {_share(rate['queue'])}",
            f"one task that asks: {_share(rate['one'])}",
            f"blocking pyserial by hand on the same port: {_share(rate['pyserial'])}; this is what the simulator's own "
            "wake-ups cost",
            f"the best round of four tasks: {_share(max(found['queue']))}",
            f"{ROUNDS} rounds of {SECONDS:g} s each, medians",
        ],
    )


def _share(rate: float) -> str:
    lost = (1 / rate - WIRE) * 1e6
    return f"{rate:.1f}/s, {rate * WIRE:.3f} of the limit, {lost:.0f} µs lost in each exchange"
