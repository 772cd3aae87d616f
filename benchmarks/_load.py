"""Clients that ask a server without end, in a process of their own: ``python -m benchmarks._load ADDRESS READERS``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from benchmarks._apart import ROOT
from rdaq_ophyd.wire import DaqStub, messages

SIGNALS = ("x.readback", "y.readback", "x.velocity", "y.velocity", "x.acceleration", "y.acceleration")
"""Different ones: identical questions that wait get one answer."""
LISTENERS = 2


async def _read(stub: DaqStub, number: int, begun: asyncio.Event) -> None:
    for name in itertools.islice(itertools.cycle(SIGNALS), number, None):
        with contextlib.suppress(grpc.aio.AioRpcError):  # refused, or too slow: asked again
            await stub.Read(messages.ReadRequest(names=[name]), timeout=60)
            begun.set()
        await asyncio.sleep(0)


async def _listen(stub: DaqStub) -> None:
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for _ in stub.StreamDocuments(messages.StreamDocumentsRequest()):
                pass


async def _look(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/rdaq.v1.Daq/StreamFrames", request_serializer=messages.FrameCredit.SerializeToString)
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError):
            frames = call()
            await frames.write(messages.FrameCredit(camera="cam", scale=1, credits=2))
            async for _ in frames:
                await frames.write(messages.FrameCredit(credits=1))
        await asyncio.sleep(0.1)


async def main(address: str, readers: int) -> None:
    """Ask until standard input is closed."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub, begun = DaqStub(channel), asyncio.Event()
        tasks = [asyncio.create_task(_read(stub, number, begun)) for number in range(readers)]
        tasks += [asyncio.create_task(_listen(stub)) for _ in range(LISTENERS)]
        tasks += [asyncio.create_task(_look(channel)) for _ in range(LISTENERS)]
        await begun.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def load(address: str, readers: int) -> Iterator[None]:
    """That process, for as long as the block runs.

    :raises RuntimeError: it does not begin.
    """
    command = [sys.executable, "-m", "benchmarks._load", address, str(readers)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("the clients did not begin")
        yield
    finally:
        try:
            child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
