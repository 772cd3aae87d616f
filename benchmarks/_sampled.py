"""Samples for the figures of streams: the same card's transfers, to our server and to a plain socket."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
from bluesky.run_engine import call_in_bluesky_event_loop
from numpy.typing import NDArray
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices

from benchmarks._bare import serve_bare
from benchmarks._sampled_wire import FLUSH, HEADER, TRANSFER
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.samples import CardRecord, Transfer
from rdaq_ophyd.samples._feed import SampleFeed
from rdaq_ophyd.server import Server
from rdaq_ophyd.server._settled import settle
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine
from rdaq_ophyd.wire import messages

WAIT = 30.0
"""Seconds until a process counts as hung."""
BLOCK = 8192
"""Samples in a transfer that is sent as fast as it is taken."""
# Such transfers may wait for a client.
_AHEAD = 32
type Send = Callable[[Transfer], None]


@dataclass(frozen=True)
class Got:
    """What a client got: CPU seconds and seconds between its first and its last block, and of each block when it came.

    :param blocks: rows of (``time.monotonic`` of arrival, number of the first sample, samples).
    """

    cpu: float
    wall: float
    dropped: int
    blocks: list[tuple[float, int, int]]

    @property
    def rate(self) -> float:
        """Samples a second."""
        return float(sum(block[2] for block in self.blocks[1:]) / self.wall)


@contextmanager
def client(kind: str, address: str, seconds: float, channels: int) -> Iterator[Callable[[], Got]]:
    """A client process of that kind, which listens from now on; what is called waits for what it got."""
    command = [sys.executable, "-m", "benchmarks._sampled_client", kind, address, str(seconds), str(channels)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        if (line := child.stdout.readline()) != "listening\n":
            raise RuntimeError(f"the client of {kind} did not begin: {line!r}")

        def got() -> Got:
            found = json.loads(child.communicate(timeout=WAIT)[0].splitlines()[-1])
            return Got(found["cpu"], found["wall"], found["dropped"], [tuple(block) for block in found["blocks"]])

        yield got
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


class Pace(threading.Thread):
    """A card that gives a transfer of ``rate`` samples a second every ``TRANSFER`` seconds, until it is told to end.

    :ivar begun: ``time.monotonic`` of sample 0.
    """

    def __init__(self, rate: float, channels: int, send: Send) -> None:
        super().__init__(name="pace", daemon=True)
        self._rate, self._send, self._end = rate, send, threading.Event()
        self._counts = np.zeros((1 << 16, channels), "<i2")
        self._counts[:] = np.arange(1 << 16).reshape(-1, 1) % 1000
        self.begun, self.sent = time.monotonic(), 0

    def run(self) -> None:
        """Give them."""
        tick = 0
        while not self._end.wait(max(0.0, self.begun + (tick := tick + 1) * TRANSFER - time.monotonic())):
            due = min(len(self._counts), int((time.monotonic() - self.begun) * self._rate) - self.sent)
            if due > 0:
                try:
                    self._send(Transfer(self.sent, self._counts[:due], time.time()))
                except OSError:
                    return  # the client has what it wanted
                self.sent += due

    def end(self) -> None:
        """End it."""
        self._end.set()
        self.join(WAIT)


class Flood(threading.Thread):
    """The same as fast as ``send`` takes them, transfers of ``BLOCK`` samples."""

    def __init__(self, channels: int, send: Send, room: Callable[[], bool]) -> None:
        super().__init__(name="flood", daemon=True)
        self._send, self._room, self._end = send, room, threading.Event()
        self._counts = np.zeros((BLOCK, channels), "<i2")
        self.sent = 0

    def run(self) -> None:
        """Give them."""
        while not self._end.is_set():
            if not self._room():
                time.sleep(0.0002)
                continue
            try:
                self._send(Transfer(self.sent, self._counts, time.time()))
            except OSError:
                return  # the client has what it wanted
            self.sent += len(self._counts)

    def end(self) -> None:
        """End it."""
        self._end.set()
        self.join(WAIT)


class Ours:
    """A server with an analog input, whose transfers are given by hand."""

    kind = "ours"

    def __init__(self, server: Server, adc: SimAnalogInput, record: CardRecord) -> None:
        self.address, self._fan, self._record = server.address, adc._pipeline.fan, record

    def begun(self) -> Send:
        """What each transfer of a new acquisition is given to, as the card's thread does."""
        return SampleFeed(self._fan, self._record).offer

    def room(self) -> bool:
        """Whether the client has taken most of what there was."""
        return all(tap.counts.pending < _AHEAD * BLOCK for tap in tuple(self._fan._taps))


@contextmanager
def serving(channels: int, rate: float) -> Iterator[Ours]:
    """All of a session that a server needs, without catalog and instruments."""
    engine = make_run_engine({}, scan_id_source=lambda _md: 1, devices=list, person=False)
    with tempfile.TemporaryDirectory() as directory:
        paths = StaticPathProvider(UUIDFilenameProvider(), Path(directory))
        with init_devices():
            adc = SimAnalogInput(paths, "adc", inputs={f"ai{i}": SimInput() for i in range(channels)}, rate=rate)
        rig = Rig("bench")
        rig.devices["adc"] = adc
        settings = SimpleNamespace(data_dir=Path(directory))
        session: Any = SimpleNamespace(RE=engine, rig=rig, settings=settings, at_close=lambda _call: None)
        try:
            with Server(session) as server:
                settle()  # as `rdaq serve` does
                yield Ours(server, adc, adc._data.record("adc"))
        finally:
            call_in_bluesky_event_loop(adc.close(), 10)
            stop_loop(engine)


class Gathered:
    """Rows of the card's transfers until ``flush`` seconds' worth is there, in the card's own thread: the cheapest."""

    def __init__(self, flush: float) -> None:
        self._every = max(1, round(flush / TRANSFER))
        self._rows: list[NDArray[np.float32]] = []
        self._first = 0

    def block(self, index: int, rows: NDArray[np.float32]) -> tuple[bytes, Any] | None:
        """Head and rows of a block; None while there are too few."""
        self._first = self._first if self._rows else index
        self._rows.append(rows)
        if len(self._rows) < self._every:
            return None
        whole, self._rows = self._rows[0] if self._every == 1 else np.concatenate(self._rows), []
        return HEADER.pack(whole.nbytes, self._first), whole


class Socket:
    """The peer: the same rows straight into a socket, each block with its length and the number of its first sample.

    :param inline: the card's own thread sends, and stands still when the client does; else one beside it.
    :param paced: transfers of ``FLUSH`` seconds make a block; else each is one.
    """

    kind = "tcp"

    def __init__(self, channels: int, *, inline: bool = False, paced: bool = False) -> None:
        self._inline = inline
        self._gathered = Gathered(FLUSH if paced else 0.0)
        self._queue: SimpleQueue[tuple[bytes, Any] | None] = SimpleQueue()
        self._sender = threading.Thread(target=self._sending, name="sender", daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._scale, self._offset = np.full(channels, 3e-4), np.zeros(channels)
        self._connection: socket.socket | None = None

    def begun(self) -> Send:
        """What each transfer is given to."""
        self._connection, _ = self._listener.accept()
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._inline:
            self._sender.start()
        return self._send

    def _sending(self) -> None:
        while (block := self._queue.get()) is not None:
            try:
                self._put(*block)
            except OSError:
                return  # the client has what it wanted

    def _send(self, transfer: Transfer) -> None:
        if (block := self._gathered.block(transfer.index, scaled(transfer, self._scale, self._offset))) is None:
            return
        if self._inline:
            self._put(*block)
        else:
            self._queue.put(block)

    def _put(self, head: bytes, rows: Any) -> None:
        assert self._connection is not None
        self._connection.sendall(head)
        self._connection.sendall(rows)

    def room(self) -> bool:
        """Whether the client has taken most of what there was; inline the socket itself waits."""
        return self._queue.qsize() < _AHEAD

    def done(self) -> None:
        """The client has gone."""
        self._queue.put(None)
        if self._connection is not None:
            self._connection.close()

    def close(self) -> None:
        """End it."""
        self.done()
        self._listener.close()


class Bare:
    """gRPC as one would write it by hand: the rows of each block, its head before them, are a message."""

    kind = "bare"

    def __init__(self, channels: int) -> None:
        self._loop, self._ended, opened = asyncio.new_event_loop(), asyncio.Event(), Future[str]()
        self._blocks: asyncio.Queue[bytes] = asyncio.Queue()
        self._gathered = Gathered(FLUSH)
        self._scale, self._offset = np.full(channels, 3e-4), np.zeros(channels)
        serving = serve_bare({"Blocks": self._stream}, opened.set_result, self._ended)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(serving,), daemon=True)
        self._thread.start()
        self.address = opened.result(WAIT)

    async def _stream(self, _request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.send_initial_metadata(())
        while True:
            yield await self._blocks.get()

    def begun(self) -> Send:
        """What each transfer is given to."""
        return self._send

    def _send(self, transfer: Transfer) -> None:
        block = self._gathered.block(transfer.index, scaled(transfer, self._scale, self._offset))
        if block is not None:
            self._loop.call_soon_threadsafe(self._blocks.put_nowait, b"".join(block))

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(WAIT)
        self._loop.close()


def scaled(transfer: Transfer, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float32]:
    """The rows of a transfer, as ours makes them."""
    rows = np.empty(transfer.data.shape, "<f4")
    np.multiply(transfer.data, scale, out=rows, casting="same_kind")
    rows += offset
    return rows


@contextmanager
def one_a_message(channels: int) -> Iterator[str]:
    """Address of a bare grpc.aio server that sends one message a sample, as fast as it is read."""
    payload = bytes(4 * channels)

    async def samples(_request: bytes, _context: Any) -> Any:
        number = 0
        while True:
            yield messages.SampleBlock(payload=payload, schema_id=1, first_seq=number, time=time.time())
            number += 1

    loop, opened = asyncio.new_event_loop(), Future[str]()

    async def serve() -> None:
        server = grpc.aio.server()
        handler = grpc.unary_stream_rpc_method_handler(
            samples, response_serializer=messages.SampleBlock.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.One", {"Stream": handler}),))
        opened.set_result(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        await ended.wait()
        await server.stop(0)

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    yield opened.result(WAIT)
    loop.call_soon_threadsafe(ended.set)
    thread.join(WAIT)
    loop.close()
