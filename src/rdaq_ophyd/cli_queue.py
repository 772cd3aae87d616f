"""The commands ``rdaq queue``; part of the command line, imported by it alone."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .cli_serving import add_limits, add_logs, add_metrics, add_page, page_port

if TYPE_CHECKING:
    from .queue._control import Control

type Do = Callable[[Control, argparse.Namespace], int]
EPILOG = "More requests: the program `qserver` of bluesky-queueserver."


def main(words: Sequence[str]) -> int:
    """``rdaq queue [PROFILE]``, or a request to a queue that runs; returns the exit code."""
    if words and words[0] in COMMANDS:
        return _request(words[0], list(words[1:]))
    return _serve(words)


def _serve(words: Sequence[str]) -> int:
    requests = "\n".join(f"  {name:<10} {text}" for name, (text, *_rest) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="rdaq queue",
        description="A queue of plans for several users on the devices of a profile, until it is told to end.",
        epilog=f"requests to a queue that runs (rdaq queue REQUEST):\n{requests}\n\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("profile", nargs="?", default="sim", metavar="PROFILE", help="name or path (default: sim)")
    parser.add_argument("--data", metavar="DIR", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)")
    parser.add_argument("--operator", help="recorded in every run (default: the login name)")
    parser.add_argument(
        "--redis",
        metavar="HOST:PORT",
        help="where queue and history are kept; `embedded`: in a file of the data directory "
        "(default: $RDAQ_REDIS, else the Redis of this machine where there is one, else embedded)",
    )
    parser.add_argument(
        "--control-port",
        type=int,
        default=60615,
        metavar="PORT",
        help="for queueserver's clients, on 127.0.0.1; it publishes on the tenth after it; 0: any (default: 60615)",
    )
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="of the gRPC server, as `rdaq serve`")
    parser.add_argument("--port", type=int, default=50051, help="its port; 0: any that is free (default: 50051)")
    parser.add_argument("--tokens", metavar="FILE", help="who may come in there; needed for other addresses")
    parser.add_argument("--certificate", metavar="FILE", help="TLS certificate with its chain; likewise")
    parser.add_argument("--key", metavar="FILE", help="its private key")
    parser.add_argument(
        "--http", type=int, nargs="?", const=60610, metavar="PORT", help="also start bluesky-httpserver (60610)"
    )
    add_page(parser)
    add_limits(parser)
    add_metrics(parser)
    add_logs(parser)
    options = parser.parse_args(words)
    from .queue._options import WorkerOptions
    from .queue.serve_command import QueueOptions, serve_queue

    data = options.data or os.environ.get("RDAQ_DATA") or os.path.expanduser("~/rdaq-data")
    worker = WorkerOptions(
        options.profile,
        data,
        options.operator,
        options.listen,
        options.port,
        options.tokens,
        options.certificate,
        options.key,
        tuple(options.limit),
        options.script_seconds,
        options.script_memory * 2**30,
        page_port(options),
        options.metrics_port,
        options.metrics_listen,
    )
    queue = QueueOptions(
        options.redis, options.control_port, options.http, log_format=options.log_format, log_file=options.log_file
    )
    return serve_queue(worker, queue)


def _request(name: str, words: list[str]) -> int:
    text, arguments, do, own_words = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"rdaq queue {name}", description=text)
    for flag, more in arguments.items():
        parser.add_argument(flag, **more)
    parser.add_argument(
        "--control", metavar="HOST:PORT", help="which queue (default: $QSERVER_ZMQ_CONTROL_ADDRESS, else 60615 here)"
    )
    parser.add_argument("--user", help="who asks (default: $RDAQ_OPERATOR, else the login name)")
    parser.add_argument("--group", default="primary", help="whose permissions count (default: primary)")
    if own_words and len(words) > 1:  # what belongs to the plan, its help too
        options, rest = _apart(parser, words)
    else:
        options, rest = parser.parse_args(words), []
    from .queue._control import Control

    options.rest = rest
    with Control(options.control, user=options.user, group=options.group) as control:
        return do(control, options)


def _apart(parser: argparse.ArgumentParser, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    help_wanted = [word for word in words[1:] if word in ("-h", "--help")]
    options, rest = parser.parse_known_args([word for word in words if word not in ("-h", "--help")])
    return options, rest + help_wanted


def _call(name: str, *given: str, **more: Any) -> Do:
    def do(control: Control, options: argparse.Namespace) -> int:
        from .queue import commands

        code: int = getattr(commands, name)(control, *(getattr(options, word) for word in given), **more)
        return code

    return do


def _add(control: Control, options: argparse.Namespace) -> int:
    from .queue import commands

    return commands.add(control, options.plan, options.rest, front=options.front)


def _stop(control: Control, options: argparse.Namespace) -> int:
    from .queue import commands

    return commands.stop(control, cancel=options.cancel)


#: By name: what it does, its arguments, what is called, whether further words are the plan's.
COMMANDS: dict[str, tuple[str, dict[str, dict[str, Any]], Do, bool]] = {
    "status": ("how the queue, its worker and the rig are; 1 when something is wrong", {}, _call("status"), False),
    "add": (
        "put a plan into the queue; `rdaq queue add PLAN --help` shows its options",
        {
            "plan": {"help": "its name"},
            "--front": {"action": "store_true", "help": "before all others"},
        },
        _add,
        True,
    ),
    "plans": ("the plans that can be queued", {}, _call("list_plans"), False),
    "list": ("what is in the queue", {}, _call("list_items"), False),
    "start": ("run what is in the queue", {}, _call("start"), False),
    "stop": (
        "begin nothing after the item that runs (to stop everything: `rdaq stop`)",
        {"--cancel": {"action": "store_true", "help": "take that back"}},
        _stop,
        False,
    ),
    "clear": ("forget what is in the queue; what runs goes on", {}, _call("clear"), False),
    "history": (
        "what was run, and what it came to",
        {"count": {"nargs": "?", "type": int, "default": 20, "help": "the last so many; 0: all (default: 20)"}},
        _call("history", "count"),
        False,
    ),
    "open": ("start the worker again", {}, _call("open_or_close", word="open"), False),
    "close": ("end the worker in order; its devices are free then", {}, _call("open_or_close", word="close"), False),
}
