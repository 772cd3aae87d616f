"""``python -m benchmarks [F6 …] [--json] [--quick | --full]``; ``python -m benchmarks soak`` and ``… facility``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import re
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks import FULL, QUICK, Result

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "figures.md"
APART = {"soak": "benchmarks._soak._run", "facility": "benchmarks._facility._run"}
"""Commands of their own: each takes minutes, and more than this page can say."""
PACKAGES = ("rdaq-ophyd", "ophyd-async", "bluesky", "h5py", "numpy", "tiled", "pypylon", "pyserial")


def figures() -> list[str]:
    """The name of every figure there is, in order; its module is named like it."""
    names = [m.name.upper() for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_")]
    numbered = sorted((name for name in names if re.fullmatch(r"F\d+", name)), key=lambda name: int(name[1:]))
    # Comparisons that are no figure come last.
    return numbered + sorted(set(names) - set(numbered))


def machine() -> list[str]:
    """What was measured on, one fact a line."""
    try:
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        cpu = None
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return [
        f"{cpu.group(1) if cpu else platform.processor()}, {os.cpu_count()} cores, {platform.system()}",
        f"Python {platform.python_version()}, {', '.join(found)}",
    ]


def page(results: dict[str, Result], known: dict[str, ModuleType]) -> str:
    """The page of all figures."""
    lines = [
        "# Figures",
        "",
        f"Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d}, each beside its peer, interleaved in one run.",
        "Ratios are what counts; absolute values belong to the machine.",
        "",
        *(f"- {fact}" for fact in machine()),
        "",
        "| figure | what | ours | peer | ratio | goal | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        sign = "≤" if r.at_most else "≥"
        lines.append(
            f"| {name} | {known[name].TITLE} | {r.figure:.4g} {r.unit} | {r.peer:.4g} {r.unit} ({r.peer_name}) "
            f"| {r.ratio:.3g} | {sign} {r.goal:g} | {'yes' if r.holds else 'no'} |"
        )
    for name, r in results.items():
        lines += ["", f"## {name}: {known[name].TITLE}", "", *(f"- {note}" for note in r.notes)]
        lines += [f"- also asked for: {what}: {'yes' if holds else 'no'}" for what, holds in r.also.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print, and write the page when everything was measured."""
    if sys.argv[1:2] and sys.argv[1] in APART:
        return int(importlib.import_module(APART[sys.argv[1]]).main(sys.argv[2:]))
    known = figures()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FIGURE", help=f"one of {', '.join(known)}; none: all")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parser.add_argument("--quick", action="store_true", help="a trial run with few repetitions, to see that it works")
    parser.add_argument(
        "--full", action="store_true", help="more repetitions where a figure counts failures (F21: 200)"
    )
    arguments = parser.parse_args()
    for variable, wanted in ((QUICK, arguments.quick), (FULL, arguments.full)):
        if wanted:
            os.environ[variable] = "1"
    names = [n.upper() for n in arguments.names] or known
    if unknown := [n for n in names if n not in known]:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(known)}")
    results: dict[str, Result] = {}
    modules: dict[str, ModuleType] = {}
    for name in names:
        # One at a time: what a figure does not use is not loaded while it is measured.
        modules[name] = importlib.import_module(f"benchmarks.{name.lower()}")
        print(f"{name}: {modules[name].TITLE} …", flush=True)
        began = time.monotonic()
        result = results[name] = modules[name].measure()
        sign = "≤" if result.at_most else "≥"
        print(
            f"  {result.figure:.4g} {result.unit}, {result.peer_name} {result.peer:.4g} {result.unit}: ratio "
            f"{result.ratio:.3g} (goal {sign} {result.goal:g}) {'holds' if result.holds else 'MISSED'}"
            f"  [{time.monotonic() - began:.0f} s]"
        )
        for note in result.notes:
            print(f"    {note}", flush=True)
        for what, holds in result.also.items():
            print(f"    also asked for: {what}: {'yes' if holds else 'no'}", flush=True)
    if not arguments.names and not arguments.quick:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(results, modules))
        print(f"written: {PAGE}")
    if arguments.json:
        print(json.dumps({name: result.as_json() for name, result in results.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
