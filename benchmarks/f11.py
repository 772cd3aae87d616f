"""F11: lag of the event loop while frames of a camera are written, against an idle loop."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from benchmarks import Result, percentile, spread, times
from benchmarks._writers import NBYTES, SIZE, memory_for, scratch
from rdaq_ophyd.devices.synthetic import SyntheticCamera

NAME = "F11"
TITLE = "lag of the event loop while 2048² frames are written at 20 Hz"
RATE = 20.0
TICK = 0.002
SECONDS = times(4.0, 1.0)
ROUNDS = times(3, 2)
FRAMES = int(SECONDS * RATE) + int(RATE)


async def _lags(seconds: float) -> list[float]:
    """How late the loop comes back from each sleep of a tick, s."""
    loop, lags = asyncio.get_running_loop(), []
    end = loop.time() + seconds
    while (began := loop.time()) < end:
        await asyncio.sleep(TICK)
        lags.append(loop.time() - began - TICK)
    return lags


async def _loaded(camera: SyntheticCamera) -> list[float]:
    await camera.stage()
    await camera.prepare(TriggerInfo(number_of_events=FRAMES, livetime=0.01, deadtime=1 / RATE - 0.01))
    await camera.kickoff()
    while not (before := await camera.get_index()):  # noqa: ASYNC110  the camera draws its first frames, and fails if not
        await asyncio.sleep(TICK)
    lags = await _lags(SECONDS)
    if await camera.get_index() < before + SECONDS * RATE / 2:
        raise RuntimeError("hardly a frame was written meanwhile: the machine is too busy to measure anything")
    await camera.unstage()
    return lags


async def _race(directory: Path) -> tuple[list[float], list[float]]:
    """Lags of the idle loop, and while it writes below a folder, s."""
    camera = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), directory), "camera", width=SIZE, height=SIZE)
    await camera.connect()
    idle: list[float] = []
    loaded: list[float] = []
    for _ in range(ROUNDS):
        idle.extend(await _lags(SECONDS))
        with memory_for(directory, FRAMES * NBYTES):
            loaded.extend(await _loaded(camera))
        os.sync()  # the files stay: the host takes the memory of files that are removed, in the midst of the next round
    await camera.close()
    return idle, loaded


def measure() -> Result:
    """Sleep a tick at a time, and see how late the loop wakes up; idle and while a camera writes, in turns."""
    with scratch() as directory:
        frames = directory / "frames"
        frames.mkdir()
        idle, loaded = asyncio.run(_race(frames))
    ours, peer = percentile(loaded, 99), percentile(idle, 99)
    return Result(
        figure=1e3 * ours,
        peer=1e3 * peer,
        ratio=ours / peer,
        goal=5.0,
        unit="ms",
        peer_name="idle loop",
        at_most=True,
        notes=[
            f"{ROUNDS} rounds of {SECONDS:g} s each, ticks of {1e3 * TICK:g} ms; p99 of all",
            f"writing: {spread(loaded, 'ms', 1e3)}",
            f"idle: {spread(idle, 'ms', 1e3)}",
        ],
    )
