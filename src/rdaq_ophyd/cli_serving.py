"""Options of ``rdaq serve`` and ``rdaq queue``: how much is taken, page, metrics, logs; part of the command line."""

from __future__ import annotations

import argparse

PAGE_PORT = 50052


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


def add_page(parser: argparse.ArgumentParser) -> None:
    """Options for the page in the browser."""
    parser.add_argument(
        "--page-port",
        type=int,
        metavar="PORT",
        help=f"of the page in the browser, 0: any that is free (default: {PAGE_PORT}, with --port 0: 0)",
    )
    parser.add_argument("--no-page", action="store_true", help="serve no page")


def page_port(options: argparse.Namespace) -> int | None:
    """Where the page is; None: there is none."""
    if options.no_page:
        return None
    if options.page_port is None:
        return PAGE_PORT if options.port else 0
    return int(options.page_port)


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Options for metrics and health over HTTP."""
    text = "serve /metrics (Prometheus), /healthz and /readyz there; 0: any that is free (default: not served)"
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help=text)
    text = "for these; another than loopback needs --tokens, --certificate and --key, too (default: 127.0.0.1)"
    parser.add_argument("--metrics-listen", default="127.0.0.1", metavar="ADDRESS", help=text)


def add_logs(parser: argparse.ArgumentParser) -> None:
    """Options for the log."""
    text = "default: text on a terminal, else a line of JSON each"
    parser.add_argument("--log-format", choices=["text", "json"], help=text)
    text = "a file of bounded size instead of standard error: 10 MiB, and four older ones"
    parser.add_argument("--log-file", metavar="FILE", help=text)
