"""F1: from the call of stop-all to the stop at the instrument, while readers saturate its port."""

from __future__ import annotations

import statistics

from benchmarks import Result, percentile, spread, times
from benchmarks._apart import Apart
from benchmarks._byhand import by_hand
from benchmarks._stops import delays, locked, ours

NAME = "F1"
TITLE = "stop-all: call to stop bytes at a 10 ms instrument whose port 50 readers saturate"
LATENCY = 0.010
READERS = (1, 10, 50)
ROUNDS = 3
PEER_TRIALS = {1: 10, 10: 6, 50: 3}
P99 = 0.002
GROWTH = 2.0


def _race(bench: Apart) -> tuple[dict[int, list[float]], dict[int, list[float]], list[float], list[float]]:
    """Delays by number of readers, ours and the lock's, interleaved; times until all was confirmed; a bare write."""
    mine: dict[int, list[float]] = {readers: [] for readers in READERS}
    peer: dict[int, list[float]] = {readers: [] for readers in READERS}
    verdicts: list[float] = []
    bare: list[float] = []
    for _ in range(times(ROUNDS, 1)):
        for readers in READERS:
            with ours(bench.url, readers) as side:
                mine[readers] += delays(side, bench, times(45, 3))
                verdicts += side.seconds_to_verdict
            with locked(bench.url, readers) as side:
                peer[readers] += delays(side, bench, times(PEER_TRIALS[readers], 1))
        with by_hand(bench.url) as idle:
            bare += delays(idle, bench, times(45, 3))
    return mine, peer, verdicts, bare


def _alone(readers: int, trials: int, **options: bool) -> list[float]:
    with Apart(latency=LATENCY, **options) as bench, ours(bench.url, readers) as side:
        return delays(side, bench, trials)


def measure() -> Result:
    """Stop from a thread that is not the loop's; reset; again."""
    with Apart(latency=LATENCY) as bench:
        mine, peer, verdicts, bare = _race(bench)
    tcp = _alone(50, times(60, 3), tcp=True)
    slow = _alone(50, times(60, 3), limit=True)
    most = READERS[-1]
    p50 = {readers: statistics.median(values) for readers, values in mine.items()}
    growth = p50[most] / p50[1]
    return Result(
        figure=p50[most] * 1e3,
        peer=statistics.median(peer[most]) * 1e3,
        ratio=statistics.median(peer[most]) / p50[most],
        goal=2000,
        unit="ms",
        peer_name="a fair asyncio.Lock per port",
        notes=[
            *(f"{n} readers: {spread(mine[n], 'ms', 1e3)} ({len(mine[n])} trials)" for n in READERS),
            *(f"fair lock, {n} readers: {spread(peer[n], 'ms', 1e3)} ({len(peer[n])} trials)" for n in READERS),
            f"50 readers against 1 reader, p50: {growth:.2f} times",
            f"a bare os.write to the idle port, which is what machine and simulator take: {spread(bare, 'ms', 1e3)}",
            f"until every device was read back as safe: {spread(verdicts, 'ms', 1e3)}",
            f"the same over TCP, 50 readers: {spread(tcp, 'ms', 1e3)}",
            f"at true 19200 baud, 50 readers: {spread(slow, 'ms', 1e3)}, of which the stop's own 4 bytes take 2.1 ms "
            "and those of a question already on the wire up to 2.6 ms: no software gets past them",
            "payload: 5 bytes asked, 9 answered; instrument on a pty in a process of its own, clock read on arrival",
        ],
        also={
            f"p99 ≤ {P99 * 1e3:g} ms at each number of readers": max(percentile(v, 99) for v in mine.values()) <= P99,
            f"50 readers ≤ {GROWTH:g} × 1 reader": growth <= GROWTH,
        },
    )
