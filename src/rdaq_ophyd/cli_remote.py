"""The commands of ``rdaq`` that talk to a server; part of the command line, imported by it alone."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .cli_serving import PAGE_PORT, add_limits, add_logs, add_metrics, add_page, page_port
from .errors import LimitError, RdaqError
from .option_words import OptionParser, number, once, pair

if TYPE_CHECKING:
    from .client.commands import Where

type Command = Callable[[argparse.Namespace, list[str]], int]
type Add = Callable[[str, str, Command], argparse.ArgumentParser]
PORT = 50051
BEFORE = ("--host", "--token-file", "--ca", "--md")
"""Options of `rdaq run` that may stand before the plan."""


def add_commands(add: Add) -> None:
    """Add ``serve`` and what its clients can do."""
    _add_serve(add)
    view = add("view", "open the page of a server in the browser: live image, charts, devices, stop", _view)
    view.add_argument("host", nargs="?", metavar="HOST[:PORT]", help=f"default: 127.0.0.1:{PAGE_PORT}")
    view.add_argument("--no-browser", action="store_true", help="only print the address")
    view.add_argument("--ca", metavar="FILE", help="certificate of who signed the server's")
    ls = _remote(add("ls", "the devices of a server, or the signals of one", _ls))
    ls.add_argument("name", nargs="?", help="a device or a part of one")
    read = _remote(add("read", "readings of devices and signals of a server", _read))
    read.add_argument("names", nargs="+", metavar="NAME", help="such as x, or x.velocity")
    set_ = _remote(add("set", "set a signal of a server", _set))
    set_.add_argument("name", help="such as x.velocity")
    set_.add_argument("value", help="a number, true or false, a text")
    set_.add_argument("units", nargs="?", help="the unit that is meant, such as mm/s; another than its own is refused")
    mv = _remote(add("mv", "move a device of a server; Ctrl-C stops it", _mv))
    mv.add_argument("name", help="such as x")
    mv.add_argument("target", type=number, help="in the device's units")
    mv.add_argument("units", nargs="?", help="the unit that is meant, such as mm; another than the device's is refused")
    mv.add_argument("--relative", action="store_true", help="from where it is")
    watch = _remote(add("watch", "what a server does, line by line", _watch))
    watch.set_defaults(unheard=0)  # it has no end but that, and Ctrl-C
    _add_what(watch)
    _remote(add("pause", "pause the plan of a server: axes stop, `rdaq resume` goes on", _engine("pause")))
    resume = _remote(add("resume", "go on with a paused plan", _resume))
    resume.add_argument("--accept-changes", metavar="WHY", help="although a shutter or laser has changed; recorded")
    text = "the refusal that this answers: what has changed besides is refused anew (default: whatever has changed)"
    resume.add_argument("--told", default="", metavar="TEXT", help=text)
    _remote(add("finish", "end the plan of a server early and in order", _engine("finish")))
    abort = _remote(add("abort", "end the plan of a server; its run counts as aborted", _abort))
    abort.add_argument("reason", nargs="*", help="recorded")
    text = "end the plan of a server without its clean-up; to stop everything: `rdaq stop`"
    _remote(add("halt", text, _engine("halt")))


def _add_what(watch: argparse.ArgumentParser) -> None:
    what = watch.add_mutually_exclusive_group()
    what.add_argument("--documents", action="store_true", help="Bluesky documents, a line of JSON each")
    text = "samples of an analog input: statistics of each interval, with --csv or --json all of them"
    what.add_argument("--samples", metavar="NAME", help=text)
    what.add_argument("--frames", metavar="NAME", help="the newest frame of a camera in each interval: its statistics")
    what.add_argument("--log", action="store_true", help="what it logs: the last 500 lines, then each as it comes")
    form = watch.add_mutually_exclusive_group()
    text = "rows; lines with # tell of gaps"
    form.add_argument("--csv", dest="form", action="store_const", const="csv", default="text", help=text)
    text = "a line of JSON for each block of samples, frame or line of the log"
    form.add_argument("--json", dest="form", action="store_const", const="json", help=text)
    watch.add_argument("--every", type=number, metavar="S", help="seconds of an interval (default: 1)")
    text = "of frames: every how many pixels of rows and columns (default: 4)"
    watch.add_argument("--scale", type=int, choices=[1, 2, 4], help=text)
    text = "of the log: the least that is told (default: INFO)"
    watch.add_argument("--level", choices=["INFO", "WARNING", "ERROR", "CRITICAL"], help=text)


def _add_serve(add: Add) -> None:
    serve = add("serve", "the devices of a profile, plans and stop for other processes and machines", _serve)
    serve.add_argument("profile", nargs="?", default="sim", help="name or path (default: sim)")
    serve.add_argument("--data", metavar="DIR", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)")
    serve.add_argument("--operator", help="recorded in every run (default: the login name)")
    serve.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    serve.add_argument("--port", type=int, default=PORT, help=f"0: any that is free (default: {PORT})")
    serve.add_argument("--tokens", metavar="FILE", help="who may come in; needed for other addresses than loopback")
    serve.add_argument("--certificate", metavar="FILE", help="TLS certificate with its chain; likewise")
    serve.add_argument("--key", metavar="FILE", help="its private key")
    text = "https://HOST by which a proxy with TLS leads to the page; needs --tokens"
    serve.add_argument("--public", metavar="URL", help=text)
    add_page(serve)
    add_limits(serve)
    add_metrics(serve)
    add_logs(serve)
    serve.add_argument(
        "--print-unit", action="store_true", help="print a unit file for systemd that serves this, and end"
    )


def add_host(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options that name a server."""
    parser.add_argument("--host", metavar="HOST:PORT", help=f"default: $RDAQ_HOST, else 127.0.0.1:{PORT}")
    parser.add_argument("--token-file", metavar="FILE", help="your token (default: $RDAQ_TOKEN is it)")
    parser.add_argument("--ca", metavar="FILE", help="certificate of who signed the server's; needed for TLS")
    return parser


_remote = add_host


def leading(words: list[str]) -> int:
    """How many of the words stand before a plan, as options of `rdaq run` itself."""
    count = 0
    while count < len(words) and words[count].partition("=")[0] in BEFORE:
        count += 1 if "=" in words[count] else 2
    return count


def named_host() -> str:
    """The server that the environment names, or nothing."""
    return os.environ.get("RDAQ_HOST", "")


def stop_there(options: argparse.Namespace) -> int:
    """``rdaq stop`` at a server."""
    from .client import commands

    return commands.stop(where(options), " ".join(options.reason), timeout=options.timeout)


def stop_one(options: argparse.Namespace) -> int:
    """``rdaq stop --only DEVICE`` at a server."""
    from .client import commands

    code = commands.stop_device(where(options), options.only)
    if options.reason:  # told afterwards: not even that nobody hears it keeps a stop back
        sys.stderr.write(f"not recorded, as nothing is latched: {' '.join(options.reason)}\n")
    return code


def stop_both(options: argparse.Namespace, here: Callable[[], int] | None) -> int:
    """``rdaq stop`` where ``$RDAQ_HOST`` is set: there, and at the same time on this machine if anything is owned here.

    :return: 0 only when every device of both was confirmed to be safe.
    """
    if here is None:
        return stop_there(options)
    codes: list[int] = []

    def there() -> None:
        code = 1
        try:
            code = stop_there(options)
        except RdaqError as error:  # the other stop goes on, and its verdicts count too
            sys.stderr.write(f"{error}\n")
        finally:
            codes.append(code)

    thread = threading.Thread(target=there, name="stop-there")
    thread.start()
    code = here()
    thread.join()
    return max(code, *codes)


def where(options: argparse.Namespace) -> Where:
    """The server that the options name."""
    from .client.commands import Where

    return Where(options.host, options.token_file, options.ca)


def _serve(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .scripts import ScriptLimits
    from .server.commands import Options, print_unit, serve

    given = Options(
        options.profile,
        data_dir=options.data,
        operator=options.operator,
        host=options.listen,
        port=options.port,
        tokens=options.tokens,
        certificate=options.certificate,
        key=options.key,
        public=options.public,
        scripts=ScriptLimits(thinking=options.script_seconds, memory=options.script_memory * 2**30),
        metrics_port=options.metrics_port,
        metrics_host=options.metrics_listen,
        log_format=options.log_format,
        log_file=options.log_file,
        limits=options.limit,
        page=page_port(options),
    )
    return print_unit(given) if options.print_unit else serve(given)


def _view(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client.view import view

    return view(options.host, port=PAGE_PORT, browser=not options.no_browser, ca=options.ca)


def _ls(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.ls(where(options), options.name)


def _read(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.read(where(options), options.names)


def _set(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.set_signal(where(options), options.name, options.value, options.units)


def _mv(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.mv(where(options), options.name, options.target, options.units, relative=options.relative)


def _watch(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands, watching

    form = watching.Form(options.form, 1.0 if options.every is None else options.every)
    _check_watched(options)
    if options.samples is not None:
        return watching.samples(where(options), options.samples, form)
    if options.frames is not None:
        return watching.frames(where(options), options.frames, form, scale=options.scale or 4)
    if options.log:
        return watching.log(where(options), form, level=options.level or "INFO")
    return commands.watch(where(options), documents=options.documents)


def _check_watched(options: argparse.Namespace) -> None:
    """Refuse options of what is not watched.

    :raises LimitError: one is there.
    """
    frames, log = options.frames is not None, options.log
    any_of, streams = options.samples is not None or frames or log, "--samples NAME, --frames NAME or --log"
    for option, given, fits, hint in (
        (f"--{options.form}", options.form != "text", any_of, streams),
        ("--every", options.every is not None, any_of, streams),
        ("--scale", options.scale is not None, frames, "--frames NAME"),
        ("--level", options.level is not None, log, "--log"),
    ):
        if given and not fits:
            raise LimitError(f"{option} of what?", hint=f"add {hint}")


def _engine(call: str) -> Command:
    def command(options: argparse.Namespace, rest: list[str]) -> int:
        del rest
        from .client import commands

        def do(client: Any) -> Any:
            return getattr(client, call)()

        return commands.engine(where(options), do)

    return command


def _resume(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.resume(where(options), accept_changes=options.accept_changes, told=options.told)


def _abort(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from .client import commands

    return commands.engine(where(options), lambda client: client.abort(" ".join(options.reason)))


def run_there(name: str, words: list[str]) -> int:
    """``rdaq run NAME --host … [OPTIONS OF THE PLAN]``; a script's path likewise."""
    from .client import commands

    parser = add_host(OptionParser(prog=f"rdaq run {name}", add_help=False))
    parser.add_argument("--md", action="append", default=[], type=pair(str))
    options, rest = parser.parse_known_args(words)
    return commands.run(where(options), name, rest, once(options.md))
