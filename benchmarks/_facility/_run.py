"""``python -m benchmarks facility``: both set-ups in one run, the table, the page."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks._facility import ROOT
from benchmarks._facility._measure import Figures, Size, measure
from benchmarks._facility._setups import embedded, shared
from benchmarks._facility._table import page

PAGE = ROOT / "docs" / "reference" / "catalog-load.md"
EPILOG = """\
Some 10 minutes on two cores with 10 000 runs. Bounded: --minutes for all of it, 200 000 runs, 16 rigs, 32 readers.
Servers listen on loopback, everything lies in a folder under the system's temporary one, and goes with the command.
Needs PostgreSQL, redis-server and the extras test and scaled.
"""


@contextmanager
def _within(minutes: float) -> Iterator[None]:
    """Give up after so long: a step of this program, or an answer of a server, may hang."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it took more than {minutes:g} minutes")

    before = signal.signal(signal.SIGALRM, over)
    left, _ = signal.setitimer(signal.ITIMER_REAL, minutes * 60)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)  # of whoever bounds this, as tests do


def both(size: Size) -> list[Figures]:
    """Measure both set-ups, one after the other."""
    from scaled import scaled

    began = time.monotonic()

    def say(what: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {what}", flush=True)

    found = []
    with tempfile.TemporaryDirectory(prefix="rdaq-facility-") as folder, embedded(Path(folder)) as setup:
        found.append(measure(setup, size, say))
    with ExitStack() as stack:
        lab = stack.enter_context(scaled())
        rigs = lab.folder / "rigs"
        rigs.mkdir()
        found.append(measure(stack.enter_context(shared(lab, rigs)), size, say))
    return found


def main(words: list[str]) -> int:
    """The command; 1 when something was lost, or readers were refused."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks facility",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    limits = {"rigs": (1, 16), "runs": (1, 50), "frames": (20, 10_000), "readers": (0, 32), "minutes": (1, 120)}
    parser.add_argument("--rigs", type=int, default=Size.rigs, help="that write at once (%(default)s)")
    parser.add_argument("--runs", type=int, default=Size.runs, help="of each rig, at its pace (%(default)s)")
    parser.add_argument("--frames", type=int, default=Size.frames, help="of each of these runs (%(default)s)")
    parser.add_argument("--readers", type=int, default=Size.readers, help="that ask meanwhile (%(default)s)")
    parser.add_argument("--catalog", type=int, action="append", help="runs in the catalog when it is asked (10000)")
    parser.add_argument("--minutes", type=float, default=20, help="after which the command gives up (20)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="everything that was measured, too")
    options = parser.parse_args(words)
    for name, (least, most) in limits.items():
        if not least <= getattr(options, name) <= most:
            parser.error(f"--{name}: {least} to {most}")
    catalogs = sorted(set(options.catalog or [10_000]))
    if not 100 <= catalogs[0] <= catalogs[-1] <= 200_000:
        parser.error("--catalog: 100 to 200000")
    from scaled import missing

    if lacking := missing():
        parser.error(lacking)
    size = Size(options.rigs, options.runs, options.frames, readers=options.readers, catalogs=catalogs)
    busy = f"load of the machine before it began, by other programs: {os.getloadavg()[0]:.1f}"
    with _within(options.minutes):
        found = both(size)
    from benchmarks.__main__ import machine

    at = words.index("--json") if "--json" in words else len(words)
    asked = " ".join(["python -m benchmarks facility", *words[:at], *words[at + 2 :]])
    text = page(found, size, [f"Measured by `{asked}` on {datetime.now(UTC):%Y-%m-%d}", *machine(), busy])
    print(text)
    PAGE.write_text(text)
    print(f"written: {PAGE}")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found]))
    lost = [wrong for one in found for wrong in one.compared.wrong]
    return int(bool(lost) or any(one.failed for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
