"""F13: samples to another process at 10 and 100 kHz: what they cost, and how old they are when they come."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks import Result, times
from benchmarks._sampled import Bare, Got, Ours, Pace, Socket, client, serving
from benchmarks._sampled_wire import FLUSH, TRANSFER

NAME = "F13"
TITLE = "samples to a remote client at 10 kHz and 100 kHz, CPU of both ends"
RATES, CHANNELS = (10_000.0, 100_000.0), 8
SECONDS, ROUNDS = times(2.0, 1.0), times(3, 1)
GOAL, OLDEST = 2.5, 0.020


def _ran(source: Ours | Socket | Bare, rate: float) -> tuple[float, float, Got, float]:
    """Share of a core of the server and of the client, what the client got, and when sample 0 was taken."""
    with client(source.kind, source.address, SECONDS, CHANNELS) as got:
        send = source.begun()
        pace = Pace(rate, CHANNELS, send)
        cpu, began = time.process_time(), time.monotonic()
        pace.start()
        time.sleep(SECONDS)
        server = (time.process_time() - cpu) / (time.monotonic() - began)
        found = got()
        pace.end()
    return server, found.cpu / found.wall, found, pace.begun


def _ages(got: Got, begun: float, rate: float, first: int) -> np.ndarray:
    """How old each sample was when it came, s."""
    parts = [came - begun - (number - first + np.arange(count)) / rate for came, number, count in got.blocks]
    return np.concatenate(parts)


def measure() -> Result:
    """Both rates, ours and the socket in turn."""
    shares: dict[tuple[str, float], list[tuple[float, float]]] = {}
    ages: dict[tuple[str, float], list[np.ndarray]] = {}
    dropped = 0
    with serving(CHANNELS, RATES[-1]) as ours:
        for round_ in range(ROUNDS):
            for rate in RATES:
                peer, bare = Socket(CHANNELS, paced=True), Bare(CHANNELS)
                inline = Socket(CHANNELS, inline=True, paced=True)
                sources = {"ours": ours, "tcp": peer, "bare gRPC": bare}
                if not round_:
                    sources["tcp in the card's thread"] = inline
                for kind, source in sources.items():
                    server, remote, got, begun = _ran(source, rate)
                    key = (kind, rate)
                    shares.setdefault(key, []).append((server, remote))
                    ages.setdefault(key, []).append(_ages(got, begun, rate, got.blocks[0][1]))
                    dropped += got.dropped
                for each in (peer, bare, inline):
                    each.close()
    totals = {key: [sum(pair) for pair in pairs] for key, pairs in shares.items()}
    ratios, of_bare, of_grpc = (
        {rate: _times(totals[a, rate], totals[b, rate]) for rate in RATES}
        for a, b in (("ours", "tcp"), ("ours", "bare gRPC"), ("bare gRPC", "tcp"))
    )
    worst = max(ratios, key=lambda rate: ratios[rate])
    p99 = {key: float(np.percentile(np.concatenate(found), 99)) for key, found in ages.items()}
    return Result(
        figure=100 * statistics.median(totals["ours", worst]),
        peer=100 * statistics.median(totals["tcp", worst]),
        ratio=ratios[worst],
        goal=GOAL,
        unit="% of a core",
        peer_name="raw TCP, the same blocks",
        at_most=True,
        notes=[
            f"{CHANNELS} channels, {1e3 * TRANSFER:g} ms at a time from the card, a block every {1e3 * FLUSH:g} ms "
            f"on the line, ours and the peers'; client in a process of its own; both ends and "
            f"what gives the samples; {ROUNDS} rounds of {SECONDS:g} s each",
            "tcp: a thread beside the card's sends, through a queue, as one writes it so that a client that stalls "
            "does not stop the card; in the card's own thread, which it does stop, once a rate, for comparison",
            *(_note(kind, rate, pairs, ages[kind, rate]) for (kind, rate), pairs in shares.items()),
            "bare gRPC: the same blocks as raw bytes, a generator of grpc.aio and a client of grpc, as one writes them",
            *(
                f"at {rate / 1e3:g} kHz: ours {ratios[rate]:.3g} × raw TCP and {of_bare[rate]:.3g} × bare gRPC, "
                f"which itself is {of_grpc[rate]:.3g} × raw TCP"
                for rate in RATES
            ),
        ],
        also={
            f"p99 ≤ {1e3 * OLDEST:g} ms at both rates": max(p99["ours", rate] for rate in RATES) <= OLDEST,
            "no sample dropped": dropped == 0,
        },
    )


def _times(ours: list[float], peers: list[float]) -> float:
    """Ours against a peer, of the rounds the middle one."""
    return statistics.median(a / b for a, b in zip(ours, peers, strict=True))


def _note(kind: str, rate: float, pairs: list[tuple[float, float]], ages: list[np.ndarray]) -> str:
    server, remote = (100 * statistics.median(each) for each in zip(*pairs, strict=True))
    p50, p99, most = (1e3 * float(np.percentile(np.concatenate(ages), q)) for q in (50, 99, 100))
    return (
        f"{kind} at {rate / 1e3:g} kHz: server {server:.1f} %, client {remote:.1f} % of a core; age of a sample "
        f"p50 {p50:.3g} ms, p99 {p99:.3g} ms, max {most:.3g} ms"
    )
