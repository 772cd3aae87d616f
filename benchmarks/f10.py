"""F10: frames kept to disk while others look on, against a loop written by hand that nobody disturbs.

The goal was set on a machine where that loop kept 42 frames/s: the disk, not the emulator, was its limit. The camera is
set to 1.5 × that rate. Where the loop is faster than that, the emulator is its limit, and no program keeps 1.4 × as
many: what ours keeps there is told as the losing case that it is.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from benchmarks import Result, times
from benchmarks._stolen import Stolen, stolen
from benchmarks._writers import NBYTES, SIZE, memory_for, scratch, warm_page_cache
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.devices.pylon import PylonCamera
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames import Camera, FrameTap, PixelFormat, column_path

NAME = "F10"
TITLE = "2048² frames a second from the pylon emulator to disk, with a viewer, a stalled client and Tiled reading along"
FRAMES = times(180, 40)
ROUNDS = times(3, 1)
#: Frames/s of the loop written by hand where the goal was set.
LOOP = 42.0
#: The emulated camera is set to so many times the rate of a loop written by hand.
DEMAND = 1.5
#: Largest distance of two frames' arrivals, in periods.
GAP = 3.0
VIEWER = 1 / 30
#: Of the camera: memory that is touched for the first time stops the emulator for some periods.
BUFFERS = 16
EXPOSURE = 1e-4
#: What pylon's emulator says, for good, now and then on a busy machine, to a loop of pypylon alone as well.
BROKEN = "signals an available result but the retrieval fails"
TRIES = 3


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
            # Not before the reader is there: within seconds the host takes free memory away again.
            with memory_for(catalog.layout.frames, FRAMES * NBYTES), stolen() as taken:
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
        "own gap": _own_gap(arrived, taken) / period,
        "stolen": taken.total,
        "lost": int(numbers[-1]) + 1 - len(numbers),
        "written": len(numbers),
        "read": read[0],
        **counts,
    }


def _own_gap(arrived: Any, taken: Stolen) -> float:
    """Longest time between two frames, s, less what the host gave to others meanwhile."""
    return max(end - begin - taken.between(begin, end) for begin, end in pairwise(arrived.tolist()))


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


def _flight(engine: RunEngine, catalog: EmbeddedCatalog, rate: float) -> dict[str, Any]:
    """A flight of a camera of its own at a rate, flown again where the emulator broke off."""
    for broken in range(TRIES):
        try:
            return {**_fly_once(engine, catalog, rate), "broken": broken}
        except FailedStatus as error:
            if BROKEN not in str(error):
                raise
            for path in catalog.layout.frames.glob("**/*.h5"):
                path.unlink()
    raise RuntimeError(f"the emulator broke off {TRIES} flights one after another")


def _fly_once(engine: RunEngine, catalog: EmbeddedCatalog, rate: float) -> dict[str, Any]:
    from benchmarks import _inline

    with init_devices():
        paths = StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames)
        camera = PylonCamera(paths, _inline.SERIAL, "camera", buffers=BUFFERS)
    call_in_bluesky_event_loop(_set_up(camera), 30)
    try:
        return _ours(engine, catalog, camera, 1 / rate)
    finally:
        call_in_bluesky_event_loop(camera.close(), 30)


def measure() -> Result:
    """At a half more than the loop kept where the goal was set; ours and the loop flat out; then an overrun."""
    os.environ.setdefault("PYLON_CAMEMU", "1")
    from benchmarks import _inline  # loads pylon, which looks at the environment once

    engine = RunEngine({}, context_managers=[])
    with scratch() as directory, EmbeddedCatalog(directory / "data", profile=None) as catalog:
        catalog.ready()
        engine.subscribe(catalog.spool)
        flights = [_flight(engine, catalog, DEMAND * LOOP) for _ in range(ROUNDS)]
        source = _inline.alone(SIZE, FRAMES)
        warm_page_cache(directory, files=4)
        loop = _inline.record(directory / "inline.h5", SIZE, FRAMES)
        (directory / "inline.h5").unlink()
        fast = _flight(engine, catalog, DEMAND * loop)
        folder = directory / "overrun"
        folder.mkdir()
        written, lost = call_in_bluesky_event_loop(_overrun(folder), 120)
        exposed = int(_numbers(folder)[-1]) + 1
    rate, gap = statistics.median(f["rate"] for f in flights), max(f["own gap"] for f in flights)
    counts = [(f[tap], f["written"]) for f in [*flights, fast] for tap in ("viewer", "stalled")]
    exact = all(c.offered == rows == c.taken + c.skipped + c.pending for c, rows in counts)
    return Result(
        figure=rate,
        peer=LOOP,
        ratio=rate / LOOP,
        goal=1.4,
        unit="frames/s",
        peer_name="inline loop by hand, alone, where the goal was set",
        notes=[
            f"{ROUNDS} rounds of {FRAMES} frames; the camera set to {DEMAND} × the loop's rate: "
            f"{DEMAND * LOOP:.0f} frames/s",
            f"longest time between two frames: {gap:.2f} periods; {max(f['gap'] for f in flights):.2f} with what "
            f"the host of this machine gave to others ({[round(1e3 * f['stolen']) for f in flights]} ms a flight)",
            f"the viewer drew {[f['viewer'].taken for f in flights]} of {FRAMES} frames, the stalled client "
            f"{[f['stalled'].taken for f in flights]}; Tiled served {[f['read'] for f in flights]} to the reader",
            f"lost: {[f['lost'] for f in flights]}; flights that the emulator broke off, flown again: "
            f"{sum(f['broken'] for f in [*flights, fast])}",
            f"losing case, flat out on this machine: the loop alone keeps {loop:.0f} frames/s, ours "
            f"{fast['rate']:.0f} with everybody looking on ({fast['rate'] / loop:.2f} ×, longest gap {fast['gap']:.0f} "
            f"periods, lost {fast['lost']}). The emulator takes a core for itself and makes {source:.0f} frames/s when "
            f"nobody takes them anywhere, {source / loop:.2f} × the loop: no program keeps more",
            f"overrun of the synthetic camera at 1 kHz: {exposed} exposed = {written} written + {lost} reported lost",
        ],
        also={
            f"no time between two frames over {GAP:g} periods": gap <= GAP,
            "every frame written, skipped or lost is counted": exact and exposed == written + lost,
        },
    )
