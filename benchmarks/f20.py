"""F20: what an import and the help of the command line cost."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import Result, spread

NAME = "F20"
TITLE = "import of rdaq_ophyd and its start-up against bluesky and ophyd_async.core; rdaq --help"
ROUNDS = 15
HELP_LIMIT = 0.4
COMMANDS = {
    "ours": [sys.executable, "-c", "import rdaq_ophyd, rdaq_ophyd.startup"],
    "peer": [sys.executable, "-c", "import bluesky, ophyd_async.core"],
    "bare": [sys.executable, "-c", "import rdaq_ophyd"],
    "help": [str(Path(sys.executable).with_name("rdaq")), "--help"],
}


def measure() -> Result:
    """Fresh processes, interleaved, all with compiled modules as an installation has them."""
    with tempfile.TemporaryDirectory(prefix="rdaq-bench-") as compiled:
        return _measure({**_writing(os.environ), "PYTHONPYCACHEPREFIX": compiled})


def _writing(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _cpu() -> float:
    """Seconds that all processes took which have ended: a busy machine does not change them much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measure(environment: Mapping[str, str]) -> Result:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    spent: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            began, before = time.perf_counter(), _cpu()
            subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment)
            if number:  # the first round compiles, and warms the disk cache
                times[name].append(time.perf_counter() - began)
                spent[name].append(_cpu() - before)
    middle = {name: statistics.median(values) for name, values in spent.items()}
    return Result(
        figure=middle["ours"],
        peer=middle["peer"],
        ratio=middle["ours"] / middle["peer"],
        goal=1.15,
        unit="s",
        peer_name="import bluesky, ophyd_async.core",
        at_most=True,
        notes=[
            f"figure and ratio: CPU time, medians of {ROUNDS} fresh processes each; what follows: by the clock",
            f"import rdaq_ophyd, rdaq_ophyd.startup: {spread(times['ours'], 's')}",
            f"import bluesky, ophyd_async.core: {spread(times['peer'], 's')}",
            f"import rdaq_ophyd alone: {spread(times['bare'], 's')}",
            f"rdaq --help: {spread(times['help'], 's')} (goal ≤ {HELP_LIMIT} s)",
        ],
        also={"help": statistics.median(times["help"]) <= HELP_LIMIT},
    )
