"""A script's plan, with its arguments bound as on the command line."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from bluesky.utils import Msg, ensure_generator

from rdaq_ophyd import profile
from rdaq_ophyd.errors import LimitError, ProfileError, UnknownName
from rdaq_ophyd.option_words import OptionParser
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import add_plan_arguments, bind

from ._proxies import Devices


class _Parser(OptionParser):
    def error(self, message: str) -> NoReturn:
        raise LimitError(f"{self.prog}: {message}", hint="--help shows its options; the session's are the server's")


def rig_of(about: dict[str, Any], devices: Devices) -> Rig:
    """The rig as the script has it."""
    rig = Rig(about["rig"])
    found: dict[str, Any] = {name: devices[path] for name, path in about["roots"].items()}
    rig.calibration = found.pop("calibration")
    rig.devices = found
    return rig


def load(name: str, arguments: Sequence[str], rig: Rig) -> Generator[Msg, Any, Any]:
    """The plan of the script in the working directory.

    :raises UnknownName: it has no function ``plan``, or there is no such device.
    :raises LimitError: an argument that the plan does not take.
    :raises SystemExit: it was only asked for help, or wants to end.
    """
    plan = getattr(_module(name), "plan", None)
    if plan is None:
        raise UnknownName(f"{name}: no function `plan` in this script", hint="name the script's plan `plan`")
    parser = _Parser(prog=name)
    add_plan_arguments(parser, plan)
    options = vars(parser.parse_args(arguments))
    given = {key.removeprefix("plan_"): value for key, value in options.items()}
    return _native(bind(plan, rig, given))


def _module(name: str) -> ModuleType:
    try:
        return profile.load_module(Path(name))
    except ProfileError as error:  # where it lies here is of no use to whoever sent it
        raise ProfileError(error.what.replace(f"{Path.cwd().resolve()}/", ""), hint=error.hint) from error


def _native(plan: Any) -> Generator[Msg, Any, Any]:
    """A generator of Python's own, which can tell whether it runs."""
    return (yield from ensure_generator(plan))


def own_lines(error: BaseException) -> str:
    """Where in the script it was raised: a line for each of its lines, innermost last."""
    here = str(Path.cwd().resolve())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(here)]
    return "\n".join(f"{Path(f.filename).name}:{f.lineno}: {f.line}" for f in frames[-5:])
