"""F5: the round trip of one query to an instrument that answers at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import Result, spread, times
from benchmarks._apart import Apart
from benchmarks._byhand import by_hand
from benchmarks._stops import QUESTION, open_link

NAME = "F5"
TITLE = "round trip of one query, instant instrument, no baud limit"
TRIPS, ROUNDS = 400, 8
GOAL = 1.2


async def _link(url: str) -> list[float]:
    """Awaited on an event loop."""
    link = open_link(url)
    try:
        await link.ask(QUESTION)
        found = []
        for _ in range(times(TRIPS, 50)):
            start = time.perf_counter()
            await link.ask(QUESTION)
            found.append(time.perf_counter() - start)
        return found
    finally:
        link.close()


async def _thread(url: str) -> list[float]:
    """Blocking pyserial in a thread, awaited on an event loop."""
    loop = asyncio.get_running_loop()
    with by_hand(url) as port, ThreadPoolExecutor(1) as pool:
        await loop.run_in_executor(pool, port.ask)
        found = []
        for _ in range(times(TRIPS, 50)):
            start = time.perf_counter()
            await loop.run_in_executor(pool, port.ask)
            found.append(time.perf_counter() - start)
        return found


def _link_blocking(url: str) -> list[float]:
    link = open_link(url)
    try:
        link.submit(QUESTION).result()
        found = []
        for _ in range(times(TRIPS, 50)):
            start = time.perf_counter()
            link.submit(QUESTION).result()
            found.append(time.perf_counter() - start)
        return found
    finally:
        link.close()


def _bare(url: str) -> list[float]:
    with by_hand(url) as port:
        found = []
        for _ in range(times(TRIPS, 50)):
            start = time.perf_counter()
            port.ask()
            found.append(time.perf_counter() - start)
        return found


def measure() -> Result:
    """Ours and by hand in turn: awaited, and from code that blocks."""
    found: dict[str, list[float]] = {"link": [], "thread": [], "submit": [], "bare": []}
    ratios = []
    with Apart() as bench:
        for _ in range(times(ROUNDS, 1)):
            ours, peer = asyncio.run(_link(bench.url)), asyncio.run(_thread(bench.url))
            ratios.append(statistics.median(ours) / statistics.median(peer))
            found["link"] += ours
            found["thread"] += peer
            found["submit"] += _link_blocking(bench.url)
            found["bare"] += _bare(bench.url)
    middle = {name: statistics.median(values) for name, values in found.items()}
    return Result(
        figure=middle["link"] * 1e6,
        peer=middle["thread"] * 1e6,
        ratio=statistics.median(ratios),
        goal=GOAL,
        unit="µs",
        peer_name="blocking pyserial in a thread, awaited",
        at_most=True,
        notes=[
            f"await link.ask(…): {spread(found['link'], 'µs', 1e6)}",
            f"await run_in_executor(pyserial by hand): {spread(found['thread'], 'µs', 1e6)}",
            f"from a thread that blocks, link.submit(…).result(): {spread(found['submit'], 'µs', 1e6)}",
            f"a case lost: pyserial by hand in that thread itself, so that nobody else may use the port: "
            f"{spread(found['bare'], 'µs', 1e6)}; ours from a blocking thread takes "
            f"{middle['submit'] / middle['bare']:.2f} times as long, awaited on a loop "
            f"{middle['link'] / middle['bare']:.2f} times: handing a question to another thread and its answer back",
            f"{ROUNDS} rounds of {TRIPS} trips each; 5 bytes asked, 9 answered",
        ],
    )
