"""A gRPC server that does nothing but answer, in a process of its own: ``python -m benchmarks._echo``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from benchmarks._apart import ROOT

METHOD = "/echo.Echo/Ask"


async def _answer(request: bytes, _context: object) -> bytes:
    return request


async def main() -> None:
    """Serve until standard input is closed."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", {"Ask": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


@contextmanager
def bare() -> Iterator[grpc.Channel]:
    """A channel to it, from this process."""
    command = [sys.executable, "-m", "benchmarks._echo"]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{int(child.stdout.readline())}") as channel:
            round_trips(channel, 5)  # the first ones connect
            yield channel
    finally:
        child.communicate(timeout=10)


def round_trips(channel: grpc.Channel, number: int) -> list[float]:
    """Seconds of so many calls, one after the other."""
    ask, found = channel.unary_unary(METHOD), []
    for _ in range(number):
        start = time.perf_counter()
        ask(b"a stop needs some bytes", timeout=10)
        found.append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    asyncio.run(main())
