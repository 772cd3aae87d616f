"""F18: from a frame's flush to its bytes in another process, through Tiled's HTTP; and how fast stacks are read."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from benchmarks import Result, percentile, spread, times
from benchmarks._live import Reader, bytes_read, frames, http, shape
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import DATA
from rdaq_ophyd.frames._layout import FrameFile

NAME = "F18"
TITLE = "flushed frame → readable through Tiled's HTTP by another process"
SIZE = 1024
NBYTES = SIZE * SIZE * 2
EXPOSURE = 0.05
FRAMES = times(full=300, quick=100)
LIVE = times(full=240, quick=100)
"""Frames of the run that is read while it goes on."""
BLOCK = 10
ROUNDS = times(full=12, quick=3)
# The rhythm of the library's fly stacks.
FLUSH_PERIOD = 0.2


@contextmanager
def flushes() -> Iterator[list[float]]:
    """When each row of the file became readable, s since the epoch: noted as the writer's flush returns."""
    found: list[float] = []
    append = FrameFile.append

    def timed(self: FrameFile, records: Any, lost: int) -> None:
        append(self, records, lost)
        found.extend([time.time()] * (self.rows - len(found)))

    FrameFile.append = timed  # type: ignore[method-assign]
    try:
        yield found
    finally:
        FrameFile.append = append  # type: ignore[method-assign]


class Flight:
    """A fly scan in a thread of its own; ``uid`` and ``path`` once they are known."""

    def __init__(self, engine: RunEngine, cam: SyntheticCamera, frames: int) -> None:
        self.uid = self.path = ""
        self._frames = frames
        self.known = threading.Event()
        self._thread = threading.Thread(target=lambda: engine(self._plan(cam), self._note))
        self._thread.start()

    def _plan(self, cam: SyntheticCamera) -> Any:
        @bpp.stage_decorator([cam])
        @bpp.run_decorator()
        def plan() -> Any:
            yield from bps.mv(cam.events_to_kickoff, self._frames)
            trigger = TriggerInfo(number_of_events=self._frames, livetime=EXPOSURE)
            yield from bps.prepare(cam, trigger, wait=True)
            yield from bps.declare_stream(cam, name="primary", collect=True)
            yield from bps.kickoff(cam, wait=True)
            yield from bps.collect_while_completing([cam], [cam], flush_period=FLUSH_PERIOD, stream_name="primary")

        return plan()

    def _note(self, name: str, document: Any) -> None:
        if name == "start":
            self.uid = document["uid"]
        elif name == "stream_resource" and document["data_key"] == "cam":
            self.path = document["uri"].removeprefix("file://localhost")
            self.known.set()

    @property
    def flying(self) -> bool:
        """Whether it still is."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(self._frames * EXPOSURE * 5 + 60)


def delays(seen: list[tuple[int, float]], flushed: list[float]) -> list[float]:
    """For each frame from its flush to when the reader had it, s."""
    found: list[float] = []
    for rows, moment in seen:
        found += [moment - flushed[row] for row in range(len(found), rows)]
    return found


def race(catalog: EmbeddedCatalog, uid: str, path: str, rows: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds for blocks of frames through HTTP, and for the same from the file, turn by turn."""
    tiled, direct = [], []
    with http(catalog.uri, str(catalog.api_key)) as client, h5py.File(path, "r", swmr=True) as file:
        file[DATA].id.refresh()
        for number in range(rounds):
            start = number * BLOCK % max(1, rows - BLOCK)
            began = time.perf_counter()
            served = frames(client, uid, f"{start}:{start + BLOCK}")
            between = time.perf_counter()
            read = file[DATA][start : start + BLOCK]
            ended = time.perf_counter()
            if served != read.tobytes():
                raise RuntimeError(f"Tiled served other bytes than the file has in rows {start} to {start + BLOCK}")
            tiled.append(between - began)
            direct.append(ended - between)
    return tiled, direct


def _rate(seconds: list[float]) -> float:
    return BLOCK * NBYTES / 1e6 / statistics.median(seconds)


def _against(when: str, tiled: list[float], direct: list[float]) -> str:
    share = statistics.median(t / d for t, d in zip(tiled, direct, strict=True))
    return (
        f"{when} run, blocks of {BLOCK} frames of {NBYTES} bytes: {_rate(tiled):.0f} MB/s through HTTP, "
        f"{_rate(direct):.0f} MB/s from the file itself ({share:.1f} times faster)"
    )


def measure() -> Result:
    """Take frames with a reader beside them in a process of its own; then read live and finished runs both ways."""
    engine = RunEngine({}, context_managers=[])
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as folder, EmbeddedCatalog(folder, profile=None) as catalog:
        engine.subscribe(catalog.spool)
        catalog.ready()
        paths = StaticPathProvider(UUIDFilenameProvider(), Path(catalog.layout.frames))
        with init_devices():
            cam = SyntheticCamera(paths, "cam", width=SIZE, height=SIZE)
        reader = Reader(catalog.uri, str(catalog.api_key))
        try:
            with flushes() as flushed:
                flight = Flight(engine, cam, FRAMES)
                flight.known.wait(60)
                reader.begin(flight.uid)
                flight.join()
                end = time.monotonic() + 30
                while (not reader.seen or reader.seen[-1][0] < FRAMES) and time.monotonic() < end:
                    time.sleep(0.1)
        finally:
            reader.close()
        waited = delays(reader.seen, flushed)
        finished = race(catalog, flight.uid, flight.path, FRAMES, ROUNDS)
        before = bytes_read(catalog.server_pid or 0)
        with http(catalog.uri, str(catalog.api_key)) as client:
            frames(client, flight.uid, "7")
        share = (bytes_read(catalog.server_pid or 0) - before) / NBYTES
        again = Flight(engine, cam, LIVE)
        again.known.wait(60)
        with http(catalog.uri, str(catalog.api_key)) as client:
            _until_rows(client, again, 2 * BLOCK)
        live = race(catalog, again.uid, again.path, 2 * BLOCK, ROUNDS)
        still = again.flying
        again.join()
    p99 = percentile(waited, 99)
    return Result(
        figure=p99,
        peer=1.0,
        ratio=p99,
        goal=1.0,
        unit="s (p99)",
        peer_name="limit",
        at_most=True,
        notes=[
            f"{len(waited)} of {FRAMES} frames at {1 / EXPOSURE:.0f} a second; flush to read {spread(waited, 's')}",
            f"the first {min(40, len(waited))} of them, for which Tiled makes the run: {spread(waited[:40], 's')}",
            f"documents leave the engine every {FLUSH_PERIOD} s, the worker looks every 0.2 s, Tiled notifies",
            _against("finished", *finished),
            _against("live" if still else "live (over before its last block)", *live),
            f"Tiled read {share:.3f} frames to serve one",
        ],
        also={"every frame reached the reader": len(waited) == FRAMES, "a slice reads its own frames only": share < 2},
    )


def _until_rows(client: Any, flight: Flight, rows: int) -> None:
    while not (now := shape(client, flight.uid)) or now[0] < rows:
        if not flight.flying:
            return
        time.sleep(0.1)
