"""Takes frames and samples, through the product's client or by bare gRPC: ``python -m benchmarks._frame_client``."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from benchmarks import times
from benchmarks._bare import UNLIMITED
from benchmarks._child import obey
from rdaq_ophyd.client import connect
from rdaq_ophyd.wire import frame_from

WARM, TRIPS = times(0.3, 0.1), 15
"""Seconds that a connection has for its windows to open, and round trips besides; they count for neither side."""
LONGEST = 30.0


class Rate:
    """Bytes a second after the connection is warm."""

    def __init__(self, seconds: float, trip: float = 0.0) -> None:
        self._from = time.monotonic() + WARM + TRIPS * trip
        self._until = self._from + seconds
        self._began = self._ended = self._cpu = 0.0
        self._bytes = self._messages = 0

    def more(self, nbytes: int) -> bool:
        """Count a message; whether to go on."""
        now = time.monotonic()
        if now < self._from:
            return True
        if not self._began:
            self._began, self._cpu = now, time.process_time()
            return True
        self._bytes += nbytes
        self._messages += 1
        self._ended = now
        return now < self._until

    def told(self) -> dict[str, float]:
        """Bytes and messages a second, and the share of a core that this process took."""
        seconds = self._ended - self._began
        return {
            "bytes": self._bytes / seconds,
            "messages": self._messages / seconds,
            "cpu": (time.process_time() - self._cpu) / seconds,
        }


def ours(address: str, seconds: float, trip: float) -> dict[str, float]:
    """All frames that ``client.frames`` gives."""
    with connect(address, timeout=LONGEST) as client:
        frames, rate = client.frames("cam"), Rate(seconds, trip)
        for frame in frames:
            if not rate.more(frame.array.nbytes):
                break
        frames.close()
    return rate.told()


def samples(address: str, seconds: float, trip: float) -> dict[str, float]:
    """All blocks that ``client.samples`` gives."""
    with connect(address, timeout=LONGEST) as client:
        blocks, rate = client.samples("adc"), Rate(seconds, trip)
        print(json.dumps(blocks.schema.device), flush=True)  # from now on it listens
        for block in blocks:
            if not rate.more(block.rows.nbytes):
                break
        blocks.close()
        lost = block.dropped
    return {**rate.told(), "dropped": lost}


def bare(
    address: str, request: str, seconds: float, trip: float = 0.0, options: dict[str, int] | None = None
) -> dict[str, float]:
    """All messages of a bare call; ``request``: their length, ``trip``: the line's round trip, s."""

    async def take() -> Rate:
        every = [*UNLIMITED, *(options or {}).items()]
        async with grpc.aio.insecure_channel(address, options=every) as channel:
            await asyncio.wait_for(channel.channel_ready(), LONGEST)
            rate = Rate(seconds, trip)
            async for data in channel.unary_stream("/bare.Bare/Raw")(request.encode(), timeout=LONGEST):
                if not rate.more(np.frombuffer(data, np.uint8).nbytes):
                    break
            return rate

    return asyncio.run(take()).told()


def watch(kind: str, address: str, draw: float | None, seconds: float) -> dict[str, Any]:
    """Draw frames at their own pace for so long; how old each was, seconds, and how many a second there were.

    :param kind: ``served`` by the product, or ``push``.
    :param draw: seconds a frame; None stalls after the first one.
    """
    ages: list[float] = []
    stalled = threading.Event()
    with (_served if kind == "served" else _pushed)(address, seconds) as frames:
        ending = threading.Timer(seconds, stalled.set)
        ending.start()
        due = began = 0.0
        for host_time, pixels in frames:
            pixels[::4, ::4].max()
            ages.append(time.time() - host_time)
            if draw is None:
                stalled.wait()
                break
            began = began or time.monotonic()
            due = max(due, time.monotonic() - draw) + draw
            time.sleep(max(0.0, due - time.monotonic()))
        ending.join()
    return {"ages": ages}


@contextmanager
def _served(address: str, seconds: float) -> Iterator[Iterator[tuple[float, Any]]]:
    with connect(address, timeout=LONGEST) as client:
        frames = client.frames("cam")
        ending = threading.Timer(seconds, frames.close)
        ending.start()
        yield ((frame.host_time, frame.array) for frame in frames)
        ending.join()


@contextmanager
def _pushed(address: str, seconds: float) -> Iterator[Iterator[tuple[float, Any]]]:
    def until(call: Any) -> Iterator[tuple[float, Any]]:
        try:
            for data in call:
                header, pixels = frame_from(data)
                yield header.host_time, pixels
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:  # type: ignore[attr-defined]
                raise

    with grpc.insecure_channel(address, options=UNLIMITED) as channel:
        yield until(channel.unary_stream("/bare.Bare/Push")(b"", timeout=seconds))


def do(what: str, **how: Any) -> Any:
    """Measure one."""
    return {"ours": ours, "samples": samples, "bare": bare, "watch": watch}[what](**how)


if __name__ == "__main__":
    obey("ready", do)
