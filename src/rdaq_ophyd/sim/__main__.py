"""``python -m rdaq_ophyd.sim`` and ``rdaq sim``: simulated instruments on real ports until they are ended."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from rdaq_ophyd.sim.bench import SimBench

if TYPE_CHECKING:
    from rdaq_ophyd.sim._declared_bench import DeclaredBench

#: How often the end is looked for, s.
LOOK_EVERY = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rdaq sim`` to ``parser``."""
    parser.add_argument(
        "instrument", nargs="?", help="file or name of a declared instrument to serve (default: the bench)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, instrument to port, and serve")
    parser.add_argument("--tcp", action="store_true", help="TCP ports of 127.0.0.1 instead of serial devices")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds that each command takes")
    parser.add_argument("--no-baud-limit", action="store_true", help="bytes take no time")
    parser.add_argument("--fast", action="store_true", help="stages and laser ten times as fast")
    parser.add_argument("--shutter-closed", action="store_true", help="leave the laser's shutter closed: it is dark")
    parser.add_argument("--log-dir", type=Path, metavar="DIR", help="write every byte with its time, a file each")
    parser.add_argument("--link-dir", type=Path, metavar="DIR", help="make a link to each serial device, by name")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input does; until then each line `spot` is answered with what a camera sees, as JSON",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM (or, if asked, until standard input closes); return the exit code."""
    # No Event: a handler that sets one while its own thread begins to wait for it finds its lock held for good.
    end: SimpleQueue[None] = SimpleQueue()
    previous = _on_signals(end)
    try:
        with _bench(options) as bench:
            text = table(bench) if isinstance(bench, SimBench) else bench.table()
            sys.stdout.write((json.dumps(bench.urls) if options.json else text) + "\n")
            sys.stdout.flush()
            while end.empty() and not (options.until_stdin_closes and _stdin_closed(bench)):
                if not options.until_stdin_closes:
                    with contextlib.suppress(Empty):
                        end.put(end.get(timeout=LOOK_EVERY))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0


def _bench(options: argparse.Namespace) -> SimBench | DeclaredBench:
    if options.instrument is not None:
        from rdaq_ophyd.sim._declared_bench import DeclaredBench  # and the schema with it

        return DeclaredBench(
            options.instrument,
            tcp=options.tcp,
            lift_baud=options.no_baud_limit,
            latency=options.latency or None,
            log_dir=options.log_dir,
            link_dir=options.link_dir,
        )
    return SimBench(
        tcp=options.tcp,
        lift_baud=options.no_baud_limit,
        latency=options.latency,
        fast=options.fast,
        shutter_open=not options.shutter_closed,
        log_dir=options.log_dir,
        link_dir=options.link_dir,
    )


def table(bench: SimBench) -> str:
    """What stands where, and how to look at it, for a person."""
    rates = {name: "no limit" if bench.lift_baud else f"{port.instrument.baud}" for name, port in bench.ports.items()}
    width = max(len(url) for url in bench.urls.values())
    rows = [f"  {'instrument':<15} {'port':<{width}}  baud"]
    rows += [f"  {name:<15} {url:<{width}}  {rates[name]}" for name, url in bench.urls.items()]
    beam = bench.beam
    first = next(iter(bench.urls.values()))
    return "\n".join(
        [
            "Simulated instruments:",
            *rows,
            "",
            f"The laser is on, its shutter is {'open' if bench.maitai.shutter else 'closed'}. A knife edge on ESP300"
            f" axis 1 cuts its beam of {beam.power * 1e3:g} mW,",
            f"1/e² radius {beam.radius:g} mm, centred at {beam.centre:g} mm; the power meter sees what passes.",
            "Axis 2 is its height, axis 3 moves a lens.",
            "ELL14 mount 0 turns a polariser, 3 a half-wave plate before it, A nothing.",
            f"Talk to one with: python -m serial.tools.miniterm -e --eol CR {first} 19200   (then type: 1TP?)",
            "Ctrl-C ends them.",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="rdaq sim", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))


def _on_signals(end: SimpleQueue[None]) -> dict[int, signal.Handlers | signal._HANDLER]:
    def stop(_: int, __: FrameType | None) -> None:
        end.put(None)

    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}


def _stdin_closed(bench: SimBench | DeclaredBench) -> bool:
    """Whether standard input closed within the time between two looks; questions on it are answered."""
    ready, _, _ = select.select([sys.stdin], [], [], LOOK_EVERY)
    if not ready:
        return False
    asked = os.read(sys.stdin.fileno(), 4096)
    if isinstance(bench, SimBench):
        for _ in range(asked.count(b"spot\n")):
            sys.stdout.write(json.dumps(vars(bench.spot(time.monotonic()))) + "\n")
        sys.stdout.flush()
    return not asked


if __name__ == "__main__":
    sys.exit(main())
