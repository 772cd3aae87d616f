"""F6: frames to HDF5, from the lease to the flush, against plain os.write."""

from __future__ import annotations

import statistics

from benchmarks import Result, spread
from benchmarks._writers import FRAMES, ROUNDS, ordinary, pipeline, plain, plain_ahead, race, rate, ratio

NAME = "F6"
TITLE = "2048² 16-bit frames to SWMR HDF5, whole pipeline"


def measure() -> Result:
    """Write the same frames both ways, interleaved."""
    ordinary()
    usual_memory = "from memory as the C library gives it"
    times = race(
        {
            "ours": pipeline,
            "os.write": plain,
            "room": plain_ahead,
            usual_memory: lambda path: pipeline(path, frames=ordinary()),
        }
    )
    return Result(
        figure=rate(statistics.median(times["ours"])),
        peer=rate(statistics.median(times["os.write"])),
        ratio=ratio(times, "ours", "os.write"),
        goal=0.93,
        unit="MB/s",
        peer_name="os.write",
        notes=[
            f"{ROUNDS} rounds of {FRAMES} frames each; per frame ours {spread(times['ours'], 'ms', 1e3 / FRAMES)}",
            f"os.write {spread(times['os.write'], 'ms', 1e3 / FRAMES)}",
            "os.write into room that is taken first, all of it at once (ours takes it in pieces as the file grows): "
            f"{spread(times['room'], 'ms', 1e3 / FRAMES)}; ours against it {ratio(times, 'ours', 'room'):.2f}",
            f"the best round of each alone: ratio {min(times['os.write']) / min(times['ours']):.3f}",
            f"the pipeline {usual_memory}: {spread(times[usual_memory], 'ms', 1e3 / FRAMES)}; "
            f"ours against it {ratio(times, 'ours', usual_memory):.2f}",
            "both end in the page cache: what the disk itself can sustain is the same for both",
        ],
    )
