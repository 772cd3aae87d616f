"""F7: the same frames against the usual HDF5 writer."""

from __future__ import annotations

import statistics

from benchmarks import Result, spread, times
from benchmarks._writers import FRAMES, pipeline, plain, race, rate, ratio, usual, usual_all

NAME = "F7"
TITLE = "2048² 16-bit frames to SWMR HDF5 against resize, dset[i] = frame, flush"
# More than the other writers get: the time of the usual one differs from round to round.
ROUNDS = times(7, 3)


def measure() -> Result:
    """Write the same frames both ways, interleaved, with os.write beside them as the ceiling."""
    took = race({"ours": pipeline, "usual": usual, "usual, whole job": usual_all, "os.write": plain}, ROUNDS)
    return Result(
        figure=rate(statistics.median(took["ours"])),
        peer=rate(statistics.median(took["usual"])),
        ratio=ratio(took, "ours", "usual"),
        goal=1.8,
        unit="MB/s",
        peer_name="the usual writer",
        notes=[
            f"{ROUNDS} rounds of {FRAMES} frames each; per frame ours {spread(took['ours'], 'ms', 1e3 / FRAMES)}",
            f"the usual writer {spread(took['usual'], 'ms', 1e3 / FRAMES)}",
            f"the best round of each alone: ratio {min(took['usual']) / min(took['ours']):.2f}",
            "against the usual writer when it also computes and writes the seven scalars that the pipeline writes with "
            f"each frame: ratio {ratio(took, 'ours', 'usual, whole job'):.2f}",
            f"the ceiling, os.write against the usual writer, was {ratio(took, 'os.write', 'usual'):.2f} in this run",
        ],
    )
