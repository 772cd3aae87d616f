"""The commands of ``rdaq`` for what a server keeps, and for its single devices; part of the command line."""

from __future__ import annotations

import argparse

from .cli_remote import Add, add_host, where
from .errors import LimitError
from .option_words import number, pair

WHY = "recorded with it, for whoever looks back"


def add_commands(add: Add) -> None:
    """Add them, each with the options that name a server."""
    trigger = add("trigger", "take a reading by hand at a server, or do what has none, such as x.home", _trigger)
    trigger.add_argument("name", help="such as power_meter, or x.home; Ctrl-C stops it")
    trigger.add_argument("--timeout", type=number, default=0.0, metavar="S", help="seconds (default: what it takes)")
    reconnect = add("reconnect", "try a device of a server again that failed to connect", _reconnect)
    reconnect.add_argument("name", help="`rdaq ls` shows what failed, and why")
    session = add("session", "what a server's rig is: operator, data, catalog, signals that follow others", _session)
    md = add("md", "what every run of a server says in its start document; changes it", _md)
    text = "from now on; in one run: rdaq run --md"
    md.add_argument("given", nargs="*", type=pair(str), metavar="KEY=VALUE", help=text)
    md.add_argument("--json", action="store_true", help="values are JSON: 4, [1, 2], true (default: texts)")
    md.add_argument("--forget", action="append", default=[], metavar="KEY", help="no more of that (repeat for more)")
    positions = add("positions", "named positions of a server; keeps places, or forgets them", _positions)
    positions.add_argument("name", nargs="?", help="of one; to save where axes stand: rdaq run save_position")
    text = "keep this place under the name; to move there: rdaq run restore_position --name NAME"
    positions.add_argument("axes", nargs="*", type=pair(number), metavar="AXIS=PLACE", help=text)
    positions.add_argument("--forget", action="append", default=[], metavar="NAME", help="(repeat for more)")
    calibrations = add("calibrations", "calibrations of a server: values and changes; changes one", _calibrations)
    calibrations.add_argument("name", nargs="?", help="such as pixel_size")
    calibrations.add_argument("value", nargs="?", type=number, help="its new value, in its own unit")
    calibrations.add_argument("--undo", metavar="NAME", help="put back the value that held before")
    calibrations.add_argument("--why", default="", help=WHY)
    suspenders = add("suspenders", "conditions that plans of a server wait for; adds one", _suspenders)
    suspenders.add_argument("kind", nargs="?", help="power_below, temperature_outside or link_lost")
    suspenders.add_argument("signal", nargs="?", help="such as power_meter.power")
    text = "floor, resume (power_below); low, high (temperature_outside); all: settle, s"
    suspenders.add_argument("numbers", nargs="*", type=pair(number), metavar="NUMBER=VALUE", help=text)
    suspenders.add_argument("--remove", action="append", default=[], metavar="ID", help="wait for it no longer")
    for parser in (trigger, reconnect, session, md, positions, calibrations, suspenders):
        add_host(parser)


def _trigger(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.trigger(where(options), options.name, timeout=options.timeout)


def _reconnect(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import keeping_commands

    return keeping_commands.reconnect(where(options), options.name)


def _session(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import keeping_commands

    return keeping_commands.session(where(options))


def _md(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import keeping_commands

    return keeping_commands.md(where(options), options.given, options.forget, as_json=options.json)


def _positions(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import keeping_commands

    return keeping_commands.positions(where(options), options.name, options.axes, options.forget)


def _calibrations(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import keeping_commands

    change = None
    if options.name is not None:
        if options.value is None:
            raise LimitError(f"{options.name} without a value", hint="rdaq calibrations NAME VALUE --why WHY")
        change = options.name, options.value
    if (change or options.undo) and not options.why.strip():
        raise LimitError("a calibration is changed without a reason", hint="--why WHY; it is recorded")
    if options.why and not (change or options.undo):
        raise LimitError("--why of what?", hint="rdaq calibrations NAME VALUE, or --undo NAME")
    return keeping_commands.calibrations(where(options), change, options.undo, options.why)


def _suspenders(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import keeping_commands

    install = None
    if options.kind is not None:
        if options.signal is None:
            raise LimitError(f"{options.kind} of what?", hint="rdaq suspenders KIND SIGNAL NUMBER=VALUE")
        install = options.kind, options.signal
    return keeping_commands.suspenders(where(options), install, options.numbers, options.remove)
