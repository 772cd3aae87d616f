"""The command ``rdaq``. Heavy imports wait until their command runs, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial

from . import __version__, cli_keeping, cli_remote
from .errors import RdaqError
from .option_words import OptionParser, number
from .unheard import silenced

__all__ = ["main"]


def _demo(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .demo import run

    return run(as_json=options.json, data_dir=options.data)


def _shell(options: argparse.Namespace, rest: list[str]) -> int:
    try:
        from IPython.terminal.ipapp import TerminalIPythonApp
    except ImportError:
        raise RdaqError("IPython is not installed", hint="pip install 'rdaq-ophyd[shell]'") from None
    from .startup import start

    with start(
        options.profile, data_dir=options.data, operator=options.operator, sample=options.sample, person=True
    ) as session:
        app = TerminalIPythonApp.instance(user_ns={"session": session})
        app.extra_extensions = ["rdaq_ophyd.ipython"]
        app.initialize(["--no-banner", *rest])
        app.start()
    return 0


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    if cli_remote.named_host() or any(word.partition("=")[0] == "--host" for word in rest):
        return cli_remote.run_there(options.script, rest)
    from .startup import find_plan, run_script

    return run_script(find_plan(options.script), rest, prog=f"rdaq run {options.script}")


def _sim(options: argparse.Namespace, rest: list[str]) -> int:
    del options
    from .sim.__main__ import main as sim_main

    return sim_main(rest)


def _queue(options: argparse.Namespace, rest: list[str]) -> int:
    del options
    from . import cli_queue

    return cli_queue.main(rest)


def _doctor(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .doctor import name_ports, run

    if options.identify is not None:
        return name_ports(options.identify, excluded=options.excluded, write=options.write)
    if options.write is not None or options.excluded:
        raise RdaqError("--write and --except belong to --identify", hint="rdaq doctor --identify --write my_lab.toml")
    return run(options.profile, data_dir=options.data)


def _stop(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    if options.only is not None:
        return cli_remote.stop_one(options)
    if options.host is not None:
        return cli_remote.stop_there(options)
    from .stop import commands

    here = partial(commands.stop, " ".join(options.reason), timeout=options.timeout)
    if not cli_remote.named_host():
        return here()
    return cli_remote.stop_both(options, here if commands.anything_here() else None)


def _reset(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    if options.host is not None or cli_remote.named_host():
        from .client import commands as there

        return there.reset(cli_remote.where(options), " ".join(options.reason), force=options.force)
    from .stop import commands

    return commands.reset(" ".join(options.reason), force=options.force)


def _status(options: argparse.Namespace, rest: list[str]) -> int:
    del options, rest
    from .stop import commands

    return commands.status()


def _trace(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .stop import commands

    return commands.trace(options.port)


def _repair(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .catalog import data_layout, repair_commands

    return repair_commands.repair(data_layout(_data(options)), dry_run=options.dry_run)


def _catalog(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .catalog import data_layout, repair_commands, shared_commands

    layout = data_layout(_data(options))
    match options.what:
        case "check":
            return shared_commands.check(layout, options.config)
        case "move":
            return shared_commands.move(layout, options.config, every_frame=options.every_frame)
    return repair_commands.rebuild(layout, from_files=options.from_files)


def _data(options: argparse.Namespace) -> str:
    return options.data or os.environ.get("RDAQ_DATA") or os.path.expanduser("~/rdaq-data")


def _profiles(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from . import profile

    if options.copy is None:
        for name, path in profile.names().items():
            print(f"{name:<16} {path}")
        return 0
    source = profile.find(options.copy)
    target = os.path.abspath(source.name)
    if os.path.exists(target):
        raise RdaqError(f"{target} exists already", hint="remove it, or run this in another directory")
    with open(target, "x", encoding="utf-8") as file:
        file.write(source.read_text())
    print(target)
    return 0


def _export(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .catalog import commands

    return commands.export(
        options.run_key,
        options.output,
        data_dir=options.data,
        to=options.to,
        streams=options.streams,
        frames=options.frames,
        force=options.force,
    )


def _documents(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .publish import commands

    if options.what == "keys":
        return commands.make_keys(options.folder, options.names)
    return commands.proxy(options.listen, options.in_port, options.out_port, options.keys)


def _new(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .declaration import commands

    return commands.new(options.name)


def _check(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .declaration import commands

    code = commands.check(options.file)
    if options.run_steps:
        from .trial import run

        code = run(options.file)
    if options.conformance:
        from .trial import conformance

        code = conformance(options.file) or code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="rdaq", description="Instruments, scans and frames on one bench.")
    parser.add_argument("--version", action="version", version=f"rdaq-ophyd {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str, run: Callable[[argparse.Namespace, list[str]], int]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run, takes_rest=False, parser=command, unheard=128 + signal.SIGPIPE)
        return command

    demo = add("demo", "the whole path without hardware: scan, stack, pause, abort, read back", _demo)
    demo.add_argument("--json", action="store_true", help="print the results as one JSON object, last")
    demo.add_argument("--data", metavar="DIR", help="keep the data here (default: a temporary directory)")

    shell = add("shell", "IPython with the devices of a profile, plans and the catalog", _shell)
    shell.add_argument("profile", nargs="?", default="sim", help="name or path (default: sim)")
    shell.add_argument("--data", metavar="DIR", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)")
    shell.add_argument("--operator", help="recorded in every run (default: the login name)")
    shell.add_argument("--sample", help="recorded in every run")
    shell.set_defaults(takes_rest=True)

    run = add("run", "run a plan: a script's path or a plan's name", _run)
    run.add_argument("script", help="plans/SCRIPT.py or a plan's name; `rdaq run SCRIPT --help` shows its options")
    run.set_defaults(takes_rest=True)

    sim = add("sim", "simulated instruments on serial ports (`rdaq sim --help`)", _sim)
    sim.set_defaults(takes_rest=True)

    stop = add("stop", "stop everything now, in every process of yours on this machine", _stop)
    stop.add_argument("reason", nargs="*", help="recorded, and told to whoever is refused afterwards")
    text = "stop this device of a server and nothing else; nothing is latched"
    stop.add_argument("--only", metavar="DEVICE", help=text)
    text = "seconds to wait for verdicts (30); with --only, the server says how long"
    stop.add_argument("--timeout", type=number, default=30.0, metavar="S", help=text)

    reset = add("reset", "accept commands again after a stop; nothing starts by itself", _reset)
    reset.add_argument("reason", nargs="+", help="what you found at the bench; recorded")
    reset.add_argument("--force", action="store_true", help="also when a device is not confirmed to be safe")
    for parser_ in (stop, reset):
        cli_remote.add_host(parser_)

    cli_remote.add_commands(add)
    cli_keeping.add_commands(add)
    queue = add("queue", "a queue of plans for several users (`rdaq queue --help`)", _queue)
    queue.set_defaults(takes_rest=True)
    add("status", "which processes own instruments, and whether they are stopped", _status)

    trace = add("trace", "the last bytes to and from an instrument", _trace)
    trace.add_argument("port", help="as its device names it, or the end of that name: ttyUSB0")

    doctor = add("doctor", "what is wrong with my set-up: ports, permissions, identities, disk, versions", _doctor)
    doctor.add_argument("profile", nargs="?", help="also connect the devices of this profile")
    doctor.add_argument("--data", metavar="DIR", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)")

    doctor.add_argument(
        "--identify",
        nargs="*",
        metavar="PORT",
        help="ask what is on these ports, read-only (default: every USB adapter that nobody uses); /dev/..., usb:..., tcp://...",
    )
    doctor.add_argument(
        "--except", dest="excluded", action="append", default=[], metavar="PORT", help="with --identify: leave it alone"
    )
    doctor.add_argument("--write", metavar="FILE.toml", help="with --identify: write a profile of what was found")
    export = add("export", "a run's tables as Parquet, Arrow or CSV, a file a stream", _export)
    export.add_argument("run_key", metavar="RUN", help="uid or its beginning, scan number, or -1 for the last")
    export.add_argument("--to", choices=["parquet", "arrow", "csv"], default="parquet", help="default: parquet")
    export.add_argument(
        "--stream", dest="streams", action="append", default=[], metavar="NAME", help="only this one (repeat for more)"
    )
    export.add_argument("-o", dest="output", default=".", metavar="DIR", help="folder (default: this one)")
    export.add_argument("--frames", action="store_true", help="also the frames, as tensors in Arrow files")
    export.add_argument("--force", action="store_true", help="overwrite")
    export.add_argument("--data", metavar="DIR", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)")

    _add_documents(
        add("documents", "documents of runs for many: the proxy that hands them on, and its keys", _documents)
    )

    new = add("new", "start the file of an instrument of your own", _new)
    new.add_argument("kind", choices=["instrument"], help="what to start")
    new.add_argument("name", help="short name, such as keithley_2450; writes NAME.toml here")

    check = add("check", "whether the file of a declared instrument is right", _check)
    check.add_argument("file", help="its path, or the name of one that comes with this package")
    check.add_argument(
        "--run", action="store_true", dest="run_steps", help="also run its device against its own simulation"
    )
    check.add_argument(
        "--conformance", action="store_true", help="also run the suite that every driver has to pass (needs pytest)"
    )

    repair = add("repair", "after a crash: close runs without an end, make files of killed writers readable", _repair)
    repair.add_argument(
        "data", nargs="?", metavar="DATA", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)"
    )
    repair.add_argument("--dry-run", action="store_true", help="only say what would be done")

    catalog = add("catalog", "make the catalog anew; check a catalog that several rigs share; move into one", _catalog)
    # A parser of its own: argparse gives a place that may stay empty to the first word after it, option or not.
    parts = catalog.add_subparsers(metavar="rebuild|check|move", dest="what", required=True)

    def part(name: str, text: str) -> argparse.ArgumentParser:
        made = parts.add_parser(name, help=text, description=text)
        made.add_argument("data", nargs="?", metavar="DATA", help="data directory (default: as for `rdaq repair`)")
        return made

    check_shared = part("check", "prove a shared catalog from this rig, and name what is wrong with it")
    check_shared.add_argument("--config", metavar="FILE", help="its catalog.toml, where it is not yet in DATA")
    move = part("move", "take this rig's own catalog over into the shared one, and compare every run in both")
    move.add_argument("--config", metavar="FILE", help="catalog.toml of the shared one, put into DATA at the end")
    move.add_argument("--every-frame", action="store_true", help="compare all frames, not the first, middle and last")
    rebuild = part("rebuild", "make the catalog anew from the record on disk; the old one is kept")
    rebuild.add_argument(
        "--from-files", action="store_true", help="also make a run of each frame file that no recorded run tells of"
    )

    profiles = add("profiles", "list the profiles, or copy one to start your own", _profiles)
    profiles.add_argument("--copy", metavar="NAME", help="copy this one into the current directory")
    return parser


def _add_documents(documents: argparse.ArgumentParser) -> None:
    kinds = documents.add_subparsers(metavar="proxy|keys", dest="what", required=True)
    text = "bluesky's 0MQ proxy: rigs publish to one port, whoever listens gets everything at the other"
    proxy = kinds.add_parser("proxy", description=text)
    proxy.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="of both ports (default: 127.0.0.1)")
    proxy.add_argument("--in-port", type=int, default=5567, metavar="PORT", help="for rigs; default: 5567")
    proxy.add_argument("--out-port", type=int, default=5568, metavar="PORT", help="for listeners; default: 5568")
    proxy.add_argument("--keys", metavar="DIR", help="ask both sides for keys; needed for other addresses")
    text = "make CURVE keys for a proxy, and for those who publish to it or listen; prints the secret ones"
    keys = kinds.add_parser("keys", description=text)
    keys.add_argument("folder", metavar="DIR", help="where they are kept")
    keys.add_argument("names", nargs="*", metavar="NAME", help="of a rig, a person or a program")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 only when all went well)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:  # a plan may have any option of its own, behind its name
        first = 1 + cli_remote.leading(words[1:])
        name = words[first : first + 1]
        words = ["run", *name, *(words[1:first] if name else []), *words[first + 1 :]]
    # Before anything loads gRPC, whose core writes lines of its own; what they say comes as errors in words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    parser = _parser()
    # `run`, `sim` and `queue` have options of their own, help included: what follows their name is theirs.
    split = _own_options(words)
    options, rest = parser.parse_known_args(words[:split])
    rest += words[split:]
    if rest and not options.takes_rest:
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        code: int = options.run(options, rest)
    except RdaqError as error:
        sys.stderr.write(f"rdaq: {error}\n")
        return error.exit_code
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end]
        if (word := next((word for word in words if half in word), None)) is None:
            raise
        sys.stderr.write(f"rdaq: {word!r} is no text in UTF-8 → write it in another way\n")
        return 2
    except BrokenPipeError:
        if not silenced():
            raise  # of something else, which somebody wants to know
        unheard: int = options.unheard
        return unheard
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return code


def _own_options(words: list[str]) -> int:
    if words[:1] in (["sim"], ["queue"]):
        return 1
    if words[:1] == ["run"] and len(words) > 1 and not words[1].startswith("-"):
        return 2
    return len(words)


if __name__ == "__main__":
    sys.exit(main())
