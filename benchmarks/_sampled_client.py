"""The client process of the figures of samples: ``python -m benchmarks._sampled_client KIND ADDRESS SECONDS``."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator

import grpc
import numpy as np

from benchmarks._sampled_wire import HEADER
from rdaq_ophyd.client import connect
from rdaq_ophyd.wire import messages

type Block = tuple[int, int, int]
"""Number of the first sample, samples, samples dropped so far."""


def _listening() -> None:
    print("listening", flush=True)


def _ours(address: str) -> Iterator[Block]:
    with connect(address) as client:
        samples = client.samples("adc")
        assert samples.schema.device == "adc"
        _listening()
        for block in samples:
            float(block["ai0"][-1])
            yield block.first, len(block), block.dropped


def _dtype() -> np.dtype[np.void]:
    return np.dtype([(f"ai{i}", "<f4") for i in range(int(sys.argv[4]))])


def _tcp(address: str) -> Iterator[Block]:
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rb", 1 << 18) as file:
        _listening()
        dtype = _dtype()
        while head := file.read(HEADER.size):
            size, first = HEADER.unpack(head)
            rows = np.frombuffer(file.read(size), dtype)
            float(rows["ai0"][-1])
            yield first, len(rows), 0


def _bare(address: str) -> Iterator[Block]:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_stream("/bare.Bare/Blocks")(b"")
        call.initial_metadata()
        _listening()
        dtype = _dtype()
        for data in call:
            _size, first = HEADER.unpack_from(data)
            rows = np.frombuffer(data, dtype, offset=HEADER.size)
            float(rows["ai0"][-1])
            yield first, len(rows), 0
        call.cancel()


def _one(address: str) -> Iterator[Block]:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_stream("/bench.One/Stream", response_deserializer=messages.SampleBlock.FromString)(b"")
        _listening()
        for message in call:
            yield message.first_seq, 1, 0
        call.cancel()


def main() -> None:
    """Listen for so long from the first block on, then print what came."""
    kind, address, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    blocks: list[tuple[float, int, int]] = []
    began = cpu = 0.0
    lost = 0
    for first, number, dropped in {"ours": _ours, "tcp": _tcp, "bare": _bare, "one": _one}[kind](address):
        lost = dropped
        now = time.monotonic()
        if not blocks:
            began, cpu = now, time.process_time()
        blocks.append((now, first, number))
        if now - began > seconds:
            break
    cpu, wall = time.process_time() - cpu, now - began
    print(json.dumps({"cpu": cpu, "wall": wall, "dropped": lost, "blocks": blocks}), flush=True)


if __name__ == "__main__":
    main()
