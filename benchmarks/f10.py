"""F10: frames kept to disk while others look on, against a loop written by hand that nobody disturbs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from benchmarks import Result, times
from benchmarks._writers import SIZE, scratch, warm_page_cache
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.devices.pylon import PylonCamera
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import Camera, FrameTap, PixelFormat, column_path

NAME = "F10"
TITLE = "2048² frames a second from the pylon emulator to disk, with a viewer, a stalled client and Tiled reading along"
FRAMES = times(360, 40)
ROUNDS = times(3, 1)
#: The emulated camera is set to so many times the rate of the loop written by hand.
DEMAND = 1.5
#: Largest distance of two frames' arrivals, in periods.
GAP = 3.0
VIEWER = 1 / 30
#: Of the camera: pylon's emulator fails for good once it finds none free, where a camera loses a frame.
BUFFERS = 64
EXPOSURE = 1e-4


def _view(tap: FrameTap) -> None:
    """What a viewer does with a frame: a preview, at most 30 times a second."""
    for ref in tap:
        with ref:
            ref.array[::4, ::4].max()
        time.sleep(VIEWER)


@contextmanager
def _audience(camera: Camera) -> Iterator[tuple[FrameTap, FrameTap]]:
    """A viewer, and a client that takes one frame and never gives it back."""
    viewer, stalled = camera.tap("viewer"), camera.tap("stalled")
    kept: list[Any] = []
    threads = [
        threading.Thread(target=_view, args=(viewer,), daemon=True),
        threading.Thread(target=lambda: kept.append(stalled.take()), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield viewer, stalled
    finally:
        for tap in (viewer, stalled):
            tap.close()
        for thread in threads:
            thread.join(10)
        for ref in kept:
            if ref is not None:
                ref.release()


@contextmanager
def _reading(catalog: EmbeddedCatalog, key: str) -> Iterator[tuple[Callable[[str], None], list[int]]]:
    """Another process that reads the newest frame through Tiled: what tells it the run, and the number it read.

    It is ready before the flight: its imports alone take a core for seconds.
    """
    command = [sys.executable, "-m", "benchmarks._reader", catalog.ready(), str(catalog.api_key), key]
    found: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin = process.stdin
        process.stdout.readline()
        try:
            yield lambda uid: (stdin.write(f"{uid}\n"), stdin.flush()), found
        finally:
            out, _ = process.communicate("", timeout=60)
    found.append(int(out.split()[-1]))


async def _set_up(camera: PylonCamera) -> None:
    """The same frames as the other loop takes."""
    await camera.pixel_format.set(PixelFormat.MONO16)
    for signal, value in ((camera.roi.width, SIZE), (camera.roi.height, SIZE)):
        await signal.set(value)
    await camera.exposure.set(EXPOSURE)


def _fly(camera: Camera, period: float) -> Generator[Any, Any, None]:
    @bpp.stage_decorator([camera])
    @bpp.run_decorator(md={"plan_name": "fly", "detectors": [camera.name]})
    def flight() -> Generator[Any, Any, None]:
        info = TriggerInfo(number_of_events=FRAMES, livetime=EXPOSURE, deadtime=period - EXPOSURE)
        yield from bps.prepare(camera, info, wait=True)
        yield from bps.declare_stream(camera, name="primary", collect=True)
        yield from bps.kickoff(camera, wait=True)
        yield from bps.collect_while_completing([camera], [camera], flush_period=0.5, stream_name="primary")

    yield from flight()


def _ours(engine: RunEngine, catalog: EmbeddedCatalog, camera: Camera, period: float) -> dict[str, Any]:
    """One flight with everybody looking on."""
    with _reading(catalog, camera.name) as (tell, read), _audience(camera) as (viewer, stalled):
        token = engine.subscribe(lambda _name, document: tell(document["uid"]), "start")
        try:
            engine(_fly(camera, period))
            counts = {"viewer": viewer.counts, "stalled": stalled.counts}
        finally:
            engine.unsubscribe(token)
    (path,) = catalog.layout.frames.glob("**/*.h5")
    with h5py.File(path) as file:
        arrived, numbers = file[column_path("timestamps")][:], file[column_path("sequence_numbers")][:]
    path.unlink()
    return {
        "rate": (len(arrived) - 1) / (arrived[-1] - arrived[0]),
        "gap": float(np.diff(arrived).max()) / period,
        "lost": int(numbers[-1]) + 1 - len(numbers),
        "written": len(numbers),
        "read": read[0],
        **counts,
    }


async def _overrun(directory: Path) -> tuple[int, int]:
    """The synthetic camera far above what the disk takes: frames reported as written and as lost."""
    paths = StaticPathProvider(UUIDFilenameProvider(), directory)
    camera = SyntheticCamera(paths, "overrun", width=SIZE, height=SIZE)
    await camera.connect()
    await camera.stage()
    await camera.prepare(TriggerInfo(number_of_events=FRAMES, livetime=1e-3))
    await camera.kickoff()
    await camera.complete()
    await camera.unstage()
    counted = await camera.frames_written.get_value(), await camera.frames_lost.get_value()
    await camera.close()
    return counted


def _numbers(folder: Path) -> Any:
    """The camera's own numbers of the frames in the only file of a folder."""
    (path,) = folder.glob("**/*.h5")
    with h5py.File(path) as file:
        return file[column_path("sequence_numbers")][:]


def measure() -> Result:
    """The hand-written loop, then ours at a half more than it managed, in turns; then the accounting of an overrun."""
    os.environ.setdefault("PYLON_CAMEMU", "1")
    from benchmarks import _inline  # loads pylon, which looks at the environment once

    engine = RunEngine({}, context_managers=[])
    loops: list[float] = []
    sources: list[float] = []
    flights: list[dict[str, Any]] = []
    with scratch() as directory, EmbeddedCatalog(directory / "data", profile=None) as catalog:
        catalog.ready()
        engine.subscribe(catalog.spool)
        for _ in range(ROUNDS):
            os.sync()
            warm_page_cache(directory, files=4)
            loops.append(_inline.record(directory / "inline.h5", SIZE, FRAMES))
            sources.append(_inline.alone(SIZE, FRAMES))
            (directory / "inline.h5").unlink()
            with init_devices():
                paths = StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames)
                camera = PylonCamera(paths, _inline.SERIAL, "camera", buffers=BUFFERS)
            call_in_bluesky_event_loop(_set_up(camera), 30)
            warm_page_cache(directory, files=4)
            flights.append(_ours(engine, catalog, camera, 1 / (DEMAND * loops[-1])))
            call_in_bluesky_event_loop(camera.close(), 30)
        folder = directory / "overrun"
        folder.mkdir()
        written, lost = call_in_bluesky_event_loop(_overrun(folder), 120)
        exposed = int(_numbers(folder)[-1]) + 1
    rate, peer = (statistics.median(values) for values in ([f["rate"] for f in flights], loops))
    gap = max(f["gap"] for f in flights)
    exact = all(c.offered == f["written"] == c.taken + c.skipped for f in flights for c in (f["viewer"], f["stalled"]))
    return Result(
        figure=rate,
        peer=peer,
        ratio=statistics.median(f["rate"] / loop for f, loop in zip(flights, loops, strict=True)),
        goal=1.4,
        unit="frames/s",
        peer_name="inline loop by hand, alone",
        notes=[
            f"{ROUNDS} rounds of {FRAMES} frames; the camera set to {DEMAND} × the loop's rate of the same round",
            f"the emulator alone makes {statistics.median(sources):.0f} frames/s when nobody takes them anywhere, "
            f"{statistics.median(sources) / peer:.2f} × the loop: no program keeps more",
            f"longest time between two frames: {gap:.2f} periods",
            f"the viewer drew {[f['viewer'].taken for f in flights]} of {FRAMES} frames, the stalled client "
            f"{[f['stalled'].taken for f in flights]}; Tiled served {[f['read'] for f in flights]} to the reader",
            f"lost: {[f['lost'] for f in flights]}",
            f"overrun of the synthetic camera at 1 kHz: {exposed} exposed = {written} written + {lost} reported lost",
        ],
        also={
            f"no time between two frames over {GAP:g} periods": gap <= GAP,
            "every frame written, skipped or lost is counted": exact and exposed == written + lost,
        },
    )
