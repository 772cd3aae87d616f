"""TRANSPORT: what was not chosen for the wire, beside what was: encodings, Arrow Flight, single samples, windows."""

from __future__ import annotations

import statistics
from collections import defaultdict
from contextlib import ExitStack

import numpy as np

from benchmarks import Result, times
from benchmarks._child import Child
from benchmarks._codecs import CODECS, ROW, SAMPLES, block, cpu
from benchmarks._frame_client import WARM
from benchmarks._proxy import longer

NAME = "TRANSPORT"
TITLE = "CPU to encode and decode a block of samples: FlatBuffers against packed rows; and other ways not taken"
TRIPS = (0.0, 0.002, 0.02)[: times(3, 1)]
FRAME = 2 * 512**2
BLOCK = 64 << 10
ROUNDS = times(2, 1)
SECONDS = times(0.4, 0.15)
CODEC_ROUNDS, CODEC_SECONDS = times(5, 2), times(0.05, 0.01)
GOAL = 1.0
# Of the side that receives: what it lets the other have under way. See grpc/include/grpc/impl/channel_arg_names.h.
PROBE, WINDOW = "grpc.http2.bdp_probe", "grpc.http2.lookahead_bytes"
WINDOWS: dict[str, dict[str, int]] = {
    "as gRPC is": {},
    "without probing": {PROBE: 0},
    "64 KiB, without probing": {PROBE: 0, WINDOW: 64 << 10},
    "8 MiB, without probing": {PROBE: 0, WINDOW: 8 << 20},
    "64 MiB, without probing": {PROBE: 0, WINDOW: 64 << 20},
}


def _codecs() -> tuple[dict[str, tuple[float, float, int]], bool]:
    """Seconds to encode, to decode, and bytes of a block, by encoding; whether all give back what they got."""
    columns, exact = block(), True
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    data = {codec.name: codec.encode(columns) for codec in CODECS}
    for codec in CODECS:
        back = codec.decode(data[codec.name])
        exact &= all(np.array_equal(*both) for both in zip(columns, back, strict=True))
    for _ in range(CODEC_ROUNDS):
        for codec in CODECS:
            encoding = cpu(codec.encode, columns, CODEC_SECONDS)
            found[codec.name].append((encoding, cpu(codec.decode, data[codec.name], CODEC_SECONDS)))
    return {
        name: (*(statistics.median(side) for side in zip(*pairs, strict=True)), len(data[name]))  # type: ignore[misc]
        for name, pairs in found.items()
    }, exact


def _windows(stack: ExitStack, bare: Child, client: Child) -> list[str]:
    """Bytes a second of 512² frames by what the receiver lets be under way, and round trip."""
    lines = {trip: longer(stack, bare.ready, trip) for trip in TRIPS}
    found: dict[tuple[str, float], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for trip, address in lines.items():
            for name, options in WINDOWS.items():
                asked = {"address": address, "request": str(FRAME), "seconds": SECONDS, "trip": trip}
                told = client.ask(what="bare", **asked, options=options)
                found[name, trip].append(told["bytes"])
    return [
        f"window {name}: "
        + ", ".join(f"{statistics.median(found[name, t]) / 1e6:.0f} MB/s at {1e3 * t:g} ms" for t in TRIPS)
        for name in WINDOWS
    ]


def _flight(bare: Child, client: Child) -> list[str]:
    """Arrow Flight beside bare gRPC in Python, and what it weighs."""
    with Child("benchmarks._flight") as server, Child("benchmarks._flight") as taker:
        weights = {name: taker.ask(what="imported", module=name) for name in ("grpc", "pyarrow", "pyarrow.flight")}
        notes = []
        for name, nbytes in (("512²", FRAME), ("2048²", 16 * FRAME)):
            port = server.ask(what="serve", nbytes=nbytes)
            flights, plain = [], []
            for _ in range(ROUNDS):
                flights.append(taker.ask(what="take", port=port, warm=WARM, seconds=SECONDS))
                told = client.ask(what="bare", address=bare.ready, request=str(nbytes), seconds=SECONDS)
                plain.append(told["bytes"])
            ratio = statistics.median(one / other for one, other in zip(flights, plain, strict=True))
            notes.append(
                f"Arrow Flight, frames of {name}: {statistics.median(flights) / 1e6:.0f} MB/s, {ratio:.2f} × bare gRPC"
            )
    told = ", ".join(f"{name} {nbytes / 2**20:.0f} MB" for name, nbytes in weights.items())
    return [*notes, f"memory that the imports take, one after another: {told}; Flight needs a port of its own"]


def _single(bare: Child, client: Child) -> tuple[list[str], float]:
    """Samples a second, one a message and in blocks, and how many times as many these are."""
    rates: dict[int, list[float]] = {ROW.itemsize: [], BLOCK: []}
    for _ in range(ROUNDS):
        for nbytes, found in rates.items():
            found.append(
                client.ask(what="bare", address=bare.ready, request=str(nbytes), seconds=SECONDS)["bytes"]
                / ROW.itemsize
            )
    single, blocks = (statistics.median(found) for found in rates.values())
    return [f"one message a sample: {single:.0f} samples/s; blocks of 64 KiB: {blocks:.3g} samples/s"], blocks / single


def measure() -> Result:
    """All of them, each beside what is used."""
    codecs, exact = _codecs()
    with ExitStack() as stack:
        bare = stack.enter_context(Child("benchmarks._bare"))
        client = stack.enter_context(Child("benchmarks._frame_client"))
        single, times_as_many = _single(bare, client)
        notes = [*single, *_flight(bare, client), *_windows(stack, bare, client)]
    spent = {name: encoding + decoding for name, (encoding, decoding, _) in codecs.items()}
    packed, flat = spent[CODECS[0].name], spent[CODECS[2].name]
    return Result(
        figure=1e6 * packed,
        peer=1e6 * flat,
        ratio=packed / flat,
        goal=GOAL,
        unit="µs",
        peer_name=CODECS[2].name,
        at_most=True,
        notes=[
            *(
                f"{name}: {1e6 * encoding:.1f} µs to encode, {1e6 * decoding:.1f} µs to decode, {nbytes} bytes"
                for name, (encoding, decoding, nbytes) in codecs.items()
            ),
            f"a block has {SAMPLES} samples of {ROW.itemsize} bytes: time, value, channel; CPU of one thread",
            *notes,
        ],
        also={
            "every encoding gives back what it got": exact,
            "blocks carry more than 100 times as many samples": times_as_many > 100,
        },
    )
