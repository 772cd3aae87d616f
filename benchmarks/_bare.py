"""gRPC as one would write it by hand, raw bytes and nothing around them: ``python -m benchmarks._bare``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from itertools import cycle
from typing import Any

import grpc
import numpy as np

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

BUFFERS = 4
"""Of a camera. One that is copied again and again would stay in the processor's cache."""
Stream = Callable[[bytes, Any], AsyncIterator[bytes]]


async def raw(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    """As many messages as go through, of ``request`` bytes each; every one is copied from one of a camera's buffers."""
    random = np.random.default_rng(1)
    for data in cycle([random.integers(0, 256, int(request), np.uint8) for _ in range(BUFFERS)]):
        yield data.tobytes()


async def serve_bare(calls: dict[str, Stream], opened: Callable[[str], None], ended: asyncio.Event) -> None:
    """Serve ``/bare.Bare/NAME`` until ``ended``; ``opened`` is told the address."""
    server = grpc.aio.server(options=UNLIMITED)
    handlers = {name: grpc.unary_stream_rpc_method_handler(call) for name, call in calls.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Bare", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    opened(f"127.0.0.1:{port}")
    await ended.wait()
    await server.stop(1.0)


async def main() -> None:
    """Serve until standard input ends."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await serve_bare({"Raw": raw}, lambda address: print(f'"{address}"', flush=True), ended)


if __name__ == "__main__":
    asyncio.run(main())
