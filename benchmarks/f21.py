"""F21: ``kill -9`` of the acquiring process at random moments; every frame whose flush had returned is readable."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import h5py

from benchmarks import FULL, Result, spread, times
from rdaq_ophyd.frames import DATA, clear_mark, column_path, read_readable, sequence_of

NAME = "F21"
TITLE = "frames lost by kill -9 of the acquiring process, of those whose flush had returned"
KILLS = 200 if os.environ.get(FULL) else times(full=20, quick=3)
# A kill comes up to so long after the first frame, s.
LONGEST = 1.0
SIZE = 512

# Says how many rows are readable after each flush, from the writer's own thread: nothing comes between.
ACQUIRES = f"""
import asyncio, os, sys
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.frames._layout import FrameFile

append = FrameFile.append

def told(self, records, lost):
    append(self, records, lost)
    os.write(1, b"%d\\n" % self.rows)

FrameFile.append = told

async def main():
    cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), sys.argv[1]), "cam", width={SIZE}, height={SIZE})
    await cam.connect()
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=8000, livetime=0.001))
    await cam.kickoff()
    await cam.complete()

asyncio.run(main())
"""


def killed(folder: Path, after: float) -> int:
    """Let a process acquire, kill it so long after its first frame; rows whose flush had returned."""
    with subprocess.Popen([sys.executable, "-c", ACQUIRES, str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        first = int(child.stdout.readline())
        timer = threading.Timer(after, child.send_signal, [signal.SIGKILL])
        timer.start()
        try:
            told = child.stdout.read()  # ends with the process
        finally:
            timer.cancel()
            child.kill()
    whole = told[: told.rfind(b"\n") + 1].split()
    return max([first, *map(int, whole)])


def readable(path: Path) -> int:
    """Leading rows that are whole: the frame bears the number that stands beside it, and its own mean."""
    with h5py.File(path, "r", swmr=True) as file:
        numbers = file[column_path("sequence_numbers")][:]
        means = file[column_path("mean")][:]
        for row in range(min(len(numbers), len(means), file[DATA].shape[0])):
            frame = file[DATA][row]
            if sequence_of(frame) != numbers[row] or abs(frame.mean() - means[row]) > 1e-6 * means[row]:
                return row
        return min(len(numbers), len(means), int(file[DATA].shape[0]))


def measure() -> Result:
    """Kill again and again; look into each file as it is, and once more as a plain reader after the repair."""
    lost, frames, opened, plain, counted = 0, [], 0, 0, 0
    moments = random.Random(int(time.time()))
    for _ in range(KILLS):
        with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as folder:
            flushed = killed(Path(folder), moments.uniform(0, LONGEST))
            (path,) = Path(folder).glob("*.h5")
            frames.append(float(flushed))
            try:
                lost += max(0, flushed - readable(path))
                opened += 1
                counted += read_readable(path).frame_count >= flushed
                clear_mark(path)
                with h5py.File(path) as file:
                    plain += file[DATA].shape[0] >= flushed
            except (OSError, ValueError) as error:
                lost += flushed
                print(f"    {path.name} with {flushed} flushed frames: {error}", flush=True)
    return Result(
        figure=lost,
        peer=0.0,
        ratio=float(lost),
        goal=0.0,
        unit="frames lost",
        peer_name="limit",
        at_most=True,
        notes=[
            f"{KILLS} kills, each up to {LONGEST:g} s after the first of {SIZE} x {SIZE} frames, 1 kHz or less",
            f"frames flushed before the kill: {spread(frames, '')}; {sum(frames):.0f} in all",
        ],
        also={
            "all files open": opened == KILLS,
            "all files open without SWMR after the mark is cleared": plain == KILLS,
            "the repair counts every flushed frame": counted == KILLS,
        },
    )
