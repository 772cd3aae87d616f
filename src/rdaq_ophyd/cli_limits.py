"""Options of ``rdaq serve`` and ``rdaq queue`` for how much their server takes; part of the command line."""

from __future__ import annotations

import argparse


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Options for how much a server takes."""
    parser.add_argument(
        "--script-seconds", type=float, default=60.0, metavar="S", help="a script's longest thought (default: 60)"
    )
    parser.add_argument(
        "--script-memory", type=float, default=4.0, metavar="GIB", help="of a script's process (default: 4)"
    )
    text = "how much is taken, such as client_rate=200 (repeat for more; docs/how-to/serve-a-rig lists them)"
    parser.add_argument("--limit", action="append", default=[], metavar="NAME=NUMBER", help=text)
