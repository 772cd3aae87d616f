"""F14: samples a second to another process, as fast as it goes."""

from __future__ import annotations

import statistics
from contextlib import closing

from benchmarks import Result, times
from benchmarks._sampled import BLOCK, Flood, Got, Ours, Socket, client, one_a_message, serving

NAME = "F14"
TITLE = "samples a second flat out, one client"
CHANNELS, RATE = 2, 100_000.0
SECONDS, ROUNDS = times(1.5, 0.5), times(3, 1)
GOAL, OF_TCP = 1000.0, 0.3


def _flooded(source: Ours | Socket) -> Got:
    with client(source.kind, source.address, SECONDS, CHANNELS) as got:
        flood = Flood(CHANNELS, source.begun(), source.room)
        flood.start()
        found = got()
        if isinstance(source, Socket):
            source.done()
        flood.end()
    return found


def _one() -> Got:
    with one_a_message(CHANNELS) as address, client("one", address, SECONDS, CHANNELS) as got:
        return got()


def measure() -> Result:
    """Ours, the socket and a message for each sample, in turn."""
    rates: dict[str, list[float]] = {"ours": [], "tcp": [], "one": []}
    dropped = 0
    with serving(CHANNELS, RATE) as ours:
        for _ in range(ROUNDS):
            found = _flooded(ours)
            dropped += found.dropped
            rates["ours"].append(found.rate)
            with closing(Socket(CHANNELS, inline=True)) as peer:
                rates["tcp"].append(_flooded(peer).rate)
            rates["one"].append(_one().rate)
    ours_, tcp, one = (statistics.median(found) for found in rates.values())
    of_one, of_tcp = (
        statistics.median(a / b for a, b in zip(rates["ours"], rates[peer], strict=True)) for peer in ("one", "tcp")
    )
    size = 4 * CHANNELS
    return Result(
        figure=ours_,
        peer=one,
        ratio=of_one,
        goal=GOAL,
        unit="samples/s",
        peer_name="one gRPC message a sample",
        notes=[
            f"{CHANNELS} channels, {size} bytes a sample, transfers of {BLOCK} samples; {ROUNDS} rounds of "
            f"{SECONDS:g} s each; a message has as many blocks as came while the last one was sent",
            f"ours {ours_ / 1e6:.3g} million/s, {ours_ * size / 1e6:.4g} MB/s; {dropped} samples dropped",
            f"raw TCP, the same blocks: {tcp / 1e6:.3g} million/s, {tcp * size / 1e6:.4g} MB/s; "
            f"ours is {of_tcp:.2f} of it",
        ],
        also={f"≥ {OF_TCP:g} × raw TCP with the same blocks": of_tcp >= OF_TCP},
    )
