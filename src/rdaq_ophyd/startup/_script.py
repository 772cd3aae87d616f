"""A plan as a script: ``python plans/knife_edge.py --profile sim --num 41``, and ``rdaq run`` the same way."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bluesky import RunEngineInterrupted
from bluesky.utils import FailedStatus

from rdaq_ophyd import profile
from rdaq_ophyd.errors import CatalogError, RdaqError, UnknownName
from rdaq_ophyd.option_words import OptionParser, once, pair

from ._brief import cause
from ._parameters import Parameter, Plan, bind, function_of, parameters
from ._progress import with_bars
from ._reserved import check_run_metadata
from ._session import Session, start

__all__ = ["add_plan_arguments", "add_session_arguments", "find_plan", "plan_names", "report_failures", "run_script"]


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every door has."""
    group = parser.add_argument_group("session")
    group.add_argument("--profile", default="sim", help="name or path of a profile (default: sim)")
    group.add_argument("--data", metavar="DIR", help="data directory (default: $RDAQ_DATA, else ~/rdaq-data)")
    group.add_argument("--operator", help="recorded in every run (default: $RDAQ_OPERATOR, else the login name)")
    group.add_argument("--sample", help="recorded in every run (default: the last one given)")
    text = "recorded in this run, as a text (repeat for more)"
    group.add_argument("--md", action="append", default=[], type=pair(str), metavar="KEY=VALUE", help=text)


def find_plan(name: str) -> Plan:
    """The plan of a script (its function ``plan``), of a shipped script, or of the library, by path or name.

    :raises UnknownName: with the nearest names.
    """
    from rdaq_ophyd import plans  # with their fits: only where a plan is looked for

    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise UnknownName(f"no script at {path}", hint="give a script's path or a plan's name")
        return _plan_of(path)
    scripts = _scripts()
    library = {n: getattr(plans, n) for n in plans.__all__}
    if name in scripts:
        return _plan_of(scripts[name])
    if name in library:
        found: Plan = library[name]
        return found
    raise UnknownName.among("plan", name, scripts | library, hint="(or give a script's path)")


def plan_names() -> list[str]:
    """The plans that have a name: shipped scripts, those in ``plans/`` of the working directory, and the library's."""
    from rdaq_ophyd import plans

    # What is put around another plan cannot be run by itself.
    return sorted({*_scripts(), *(name for name in plans.__all__ if not name.startswith("with_"))})


def _scripts() -> dict[str, Path]:
    return {p.stem: p for folder in (profile.packaged("plans"), Path("plans")) for p in folder.glob("*.py")}


def _plan_of(path: Path) -> Plan:
    plan: Plan | None = getattr(profile.load_module(path), "plan", None)
    if plan is None:
        raise UnknownName(f"{path}: no function `plan` in this script", hint="name the script's plan `plan`")
    return plan


def _parser(plan: Plan, prog: str) -> argparse.ArgumentParser:
    doc = (function_of(plan).__doc__ or "").strip()
    parser = OptionParser(prog=prog, description=doc.split("\n\n")[0].replace("``", ""))
    add_session_arguments(parser)
    add_plan_arguments(parser, plan, but=("md",))
    return parser


def add_plan_arguments(parser: argparse.ArgumentParser, plan: Plan, *, but: Collection[str] = ()) -> None:
    """The options of a plan, as ``plan_<parameter>``.

    :param but: parameters without one, for which the session has its own: metadata of a run as Bluesky's plans take it.
    """
    group = parser.add_argument_group("plan")
    for p in parameters(plan):
        if p.name in but:
            continue
        group.add_argument(
            f"--{p.name.replace('_', '-')}",
            dest=f"plan_{p.name}",
            default=p.device if p.is_device else argparse.SUPPRESS,
            metavar=_metavar(p),
            help=_help(p).replace("%", "%%"),
        )


def _metavar(parameter: Parameter) -> str:
    return ("DEVICE,..." if parameter.many else "DEVICE") if parameter.is_device else parameter.name.upper()


def _help(parameter: Parameter) -> str:
    about = parameter.help or _metavar(parameter).lower()
    if parameter.required and not parameter.is_device:
        return f"{about} (required)"
    if parameter.required and parameter.device == "device":
        return f"{about} (required, where the rig has none named device)"
    return f"{about} (default: {parameter.device if parameter.is_device else parameter.default})"


def run_script(plan: Plan, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Start a session, run the plan in it, say what came out. The exit code is 0 only for a successful run.

    :param plan: a generator function whose parameters are all annotated; devices are found by name.
    :param argv: the command line without the program's name; default ``sys.argv[1:]``.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    parser = _parser(plan, prog or Path(sys.argv[0]).name)
    options = parser.parse_args(argv)
    given = {k.removeprefix("plan_"): v for k, v in vars(options).items() if k.startswith("plan_")}
    try:
        return _run(plan, options, given)
    except RdaqError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before the plan ran\n")
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 an error in the plan's own code: told with its own lines only
        sys.stderr.write(f"{parser.prog}: {type(error).__name__}: {error}\n{own_lines(error)}")
        return 1


def _run(plan: Plan, options: argparse.Namespace, given: dict[str, Any]) -> int:
    _check_values(plan, given)
    md = once(options.md)
    check_run_metadata(md)
    with start(options.profile, data_dir=options.data, operator=options.operator, sample=options.sample) as session:
        report_failures(session.rig.failures)
        generator = bind(plan, session.rig, given)
        try:
            with with_bars(session.RE) if sys.stderr.isatty() else nullcontext():
                result = session.run(generator, **md)
        except RunEngineInterrupted:
            sys.stderr.write("interrupted: the axes were stopped and the run was closed as aborted\n")
            return 128 + (session.RE.signal or signal.SIGINT)  # as a shell tells that a signal ended a program
        except SystemExit:
            run = "the run was closed as aborted" if session.RE.state == "idle" else "the run was left unfinished"
            sys.stderr.write(f"told to end: everything was stopped; {run}\n")
            raise
        except FailedStatus as failure:
            raise cause(failure) from failure
        for uid in result.run_start_uids:
            sys.stdout.write(f"{uid} {result.exit_status}\n")
        _deliver(session)
        return 0 if result.exit_status == "success" else 1


def _deliver(session: Session) -> None:
    """Wait for the catalog, bounded; what does not arrive stays in the spool for the next session."""
    try:
        session.catalog.ready()
        arrived = session.catalog.wait_drained()
    except CatalogError as error:
        sys.stderr.write(f"{error}\n")
    else:
        if not arrived:
            sys.stderr.write("Tiled is still behind; the documents are in the spool, the next session delivers them\n")


def own_lines(error: BaseException) -> str:
    """The lines of the user's own files in a traceback, last one last; everything else is not theirs to mend."""
    ours = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*ours, "<"))]
    return "".join(f"  {f.filename}:{f.lineno}: {f.line}\n" for f in frames)


def _check_values(plan: Plan, given: dict[str, Any]) -> None:
    """Refuse bad values before anything is started."""
    for p in parameters(plan):
        if not p.is_device and p.name in given:
            p.value(given[p.name])
        elif not p.is_device and p.required:
            raise RdaqError(f"parameter {p.name} has no value", hint=f"give --{p.name.replace('_', '-')}: {p.help}")


def report_failures(failures: dict[str, Exception]) -> None:
    """Tell a person which devices are not there, and that the others are."""
    for name, error in failures.items():
        sys.stderr.write(f"device {name} is not available: {error}\n")
