"""A rig with a camera in a process of its own: ``python -m benchmarks._frame_server DIRECTORY served|push``.

``served``: as ``rdaq serve`` does it. ``push``: the same camera, its newest frame sent whenever gRPC takes one more.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from bluesky.run_engine import call_in_bluesky_event_loop
from numpy.typing import NDArray
from ophyd_async.core import TriggerInfo

from benchmarks import times
from benchmarks._bare import BUFFERS, serve_bare
from benchmarks._child import Child, obey
from benchmarks._profile import UNDELIVERED
from rdaq_ophyd.frames import Camera, FrameRef, FrameTap
from rdaq_ophyd.samples import AnalogInput, Piece
from rdaq_ophyd.server import serve
from rdaq_ophyd.startup import start
from rdaq_ophyd.wire import FrameParcel, messages

PROFILE = """
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig

rig = Rig("bench-frames")

@rig.device
def cam(paths) -> SyntheticCamera:
    return SyntheticCamera(paths, width={size}, height={size})

@rig.device
def adc(paths) -> SimAnalogInput:
    return SimAnalogInput(paths, inputs={{"a": SimInput(), "b": SimInput()}}, rate=1e6)
"""
SIZE = 512
EXPOSURE = 1e-3
AGAIN = 1e-3
BLOCKS = 256
"""Of samples that wait at most: less than the ring has room for, and more than go through from flush to flush."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def frame_server(directory: Path, kind: str) -> Child:
    """Start one, with everything that a session writes in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    private = {name: str(directory / name.lower()) for name in ("RDAQ_STATE", "RDAQ_RUN", "TILED_PROFILES")}
    return Child("benchmarks._frame_server", str(directory), kind, environment=private)


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class ReadyTap(FrameTap):
    """Has a new frame each time one is asked for: what takes it there is measured, and not what makes it."""

    def __init__(self, name: str, buffers: list[NDArray[Any]]) -> None:
        super().__init__(name)
        self._leases = [FrameRef(buffer, sequence=0, host_time=time.time()) for buffer in buffers]
        self._number = 0

    async def next(self, timeout: float | None = None) -> FrameRef | None:
        """The next one. It is offered again where the reader still holds the last, as a camera's next one would be."""
        del timeout
        while not self.closed:
            self.offer(self._leases[self._number % len(self._leases)], self._number)
            self._number += 1
            if (taken := await super().next(AGAIN)) is not None:
                return taken
        return None

    def close(self) -> None:
        """End it, and what makes frames with it."""
        super().close()
        for lease in self._leases:
            lease.release()


class ReadySamples(threading.Thread):
    """A source that has a new block of samples as long as few are waiting, until it is told to end."""

    def __init__(self, adc: AnalogInput, nbytes: int) -> None:
        super().__init__(name="ready-samples", daemon=True)
        self._ended = False
        self._fan, self._schema = adc._pipeline.fan, adc.sample_schema()
        shape = (nbytes // self._schema.dtype.itemsize, len(self._schema.columns))
        self._rows = np.random.default_rng(1).random(shape, np.float32)

    def run(self) -> None:
        """Give them."""
        number = 0
        while not self._ended:
            if all(tap.counts.pending >= BLOCKS * len(self._rows) for tap in tuple(self._fan._taps)):
                time.sleep(AGAIN / 4)
                continue
            self._fan.publish(Piece(self._schema, number, 1, time.time(), self._rows))
            number += len(self._rows)

    def end(self) -> None:
        """End it; a ring takes what one thread gives."""
        self._ended = True
        self.join(10)


class Rig:
    """What a benchmark has the instruments do."""

    def __init__(self, camera: Camera, adc: AnalogInput) -> None:
        self._camera, self._adc = camera, adc
        self._source: ReadySamples | None = None

    def do(self, what: str, **how: Any) -> Any:
        """Have frames ready, or fly."""
        return getattr(self, f"_{what}")(**how)

    def _ready(self, size: int) -> None:
        """Those who ask from now on get frames of that size, as many as they take."""
        buffers = _buffers(size)
        self._camera.tap = lambda name, **_: ReadyTap(name, buffers)

    def _sampling(self, nbytes: int) -> None:
        """Those who listen now get samples, blocks of that size, as many as they take; 0: no more of them."""
        if self._source is not None:
            self._source.end()
        self._source = ReadySamples(self._adc, nbytes) if nbytes else None
        if self._source is not None:
            self._source.start()

    def _audience(self) -> int:
        """How many look on."""
        return len(self._camera._pipeline.fan._taps)

    def _fly(self, rate: float, seconds: float) -> dict[str, float]:
        """Take frames into a file, as in a run; what became of them, and by how much memory grew meanwhile."""
        frames = round(rate * seconds)
        call_in_bluesky_event_loop(self._begin(frames, 1 / rate), 30)
        grown: SimpleQueue[int] = SimpleQueue()
        ended, began = threading.Event(), time.monotonic()
        watching = threading.Thread(target=lambda: grown.put(_growth(ended)))
        watching.start()
        call_in_bluesky_event_loop(self._complete(), seconds + 60)
        took = time.monotonic() - began
        ended.set()
        watching.join()
        written, lost = call_in_bluesky_event_loop(self._end(), 30)
        return {"rate": written / took, "written": written, "lost": lost, "grew": grown.get()}

    async def _begin(self, frames: int, period: float) -> None:
        camera = self._camera
        await camera.stage()
        info = TriggerInfo(number_of_events=frames, livetime=EXPOSURE, deadtime=period - EXPOSURE)
        await camera.prepare(info)
        await camera.kickoff()

    async def _complete(self) -> None:
        await self._camera.complete()

    async def _end(self) -> tuple[int, int]:
        counted = await self._camera.frames_written.get_value(), await self._camera.frames_lost.get_value()
        await self._camera.unstage()
        return counted


@cache
def _buffers(size: int) -> list[NDArray[Any]]:
    random = np.random.default_rng(1)
    return [random.poisson(100, (size, size)).astype("<u2") for _ in range(BUFFERS)]


def _growth(ended: threading.Event) -> int:
    """By how many bytes this process' memory grew until then, at its most."""
    before = most = resident()
    while not ended.wait(0.05):
        most = max(most, resident())
    return most - before


def _push(camera: Camera) -> Any:
    async def push(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        with camera.tap("push") as tap:
            while (ref := await tap.next()) is not None:
                with ref:
                    height, width = ref.array.shape
                    header = messages.FrameHeader(
                        sequence=ref.sequence, host_time=ref.host_time, width=width, height=height, dtype="<u2"
                    )
                    parcel = FrameParcel()
                    parcel.begin(header, ref.array)
                    message = parcel.message()
                yield message

    return push


@contextmanager
def _pushing(camera: Camera) -> Iterator[str]:
    """Frames without credits; the address."""
    loop, ended, opened = asyncio.new_event_loop(), asyncio.Event(), SimpleQueue[str]()
    serving = serve_bare({"Push": _push(camera)}, opened.put, ended)
    thread = threading.Thread(target=loop.run_until_complete, args=(serving,))
    thread.start()
    try:
        yield opened.get(timeout=30)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


def main(directory: str, kind: str) -> None:
    """Serve until standard input ends."""
    profile = Path(directory, "bench_frames.py")
    profile.write_text(PROFILE.format(size=SIZE) + times("", UNDELIVERED))
    with start(str(profile), data_dir=Path(directory, "data"), person=False) as session:
        session.catalog.ready()  # it takes a core while it comes up
        camera, adc = session.rig["cam"], session.rig["adc"]
        if kind == "served":
            obey(serve(session).address, Rig(camera, adc).do)
        else:
            with _pushing(camera) as address:
                obey(address, Rig(camera, adc).do)


if __name__ == "__main__":
    main(*sys.argv[1:])
