"""The plans that a queue can run: the library's, those of scripts and of the profile, and Bluesky's own.

Ours take devices by name, so that each goes through :func:`rdaq_ophyd.startup.bind` when its turn comes, as with
``rdaq run``; queueserver checks the same names, types and limits when an item is added.
"""

from __future__ import annotations

import inspect
import logging
import sys
import typing
from collections.abc import Generator
from pathlib import Path
from typing import Any

from bluesky.utils import MsgGenerator
from bluesky_queueserver import parameter_annotation_decorator

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import Parameter, Plan, Session, bind, find_plan, parameters, plan_names

from ._annotations import device_names, literal, parameter_annotation
from ._bluesky_plans import bluesky_plans

__all__ = ["queue_plan", "queue_plans"]
logger = logging.getLogger(__name__)


def queue_plans(session: Session) -> dict[str, Plan]:
    """All of them by name; what the rig has no device for, or a queue cannot hold, is left out and logged."""
    found: dict[str, Plan] = bluesky_plans(session.rig)
    mine = _profile_plans(session.profile)
    for name in dict.fromkeys([*plan_names(), *mine]):
        try:
            found[name] = queue_plan(name, mine.get(name) or find_plan(name), session.rig)
        except RdaqError as error:  # a script that is wrong must not keep the others out
            found.pop(name, None)
            logger.warning("plan %s cannot be queued: %s", name, error)
    return found


def queue_plan(name: str, plan: Plan, rig: Rig) -> Plan:
    """A plan that takes names and plain values, with the description that queueserver needs.

    :raises RdaqError: a queue cannot run it in this rig.
    """
    known = parameters(plan)
    signature = _signature(plan, known, rig)

    def queued(*args: Any, **kwargs: Any) -> MsgGenerator[Any]:
        given = {k: v for k, v in signature.bind(*args, **kwargs).arguments.items() if v is not None}
        return (yield from bind(plan, rig, given))

    queued.__name__ = queued.__qualname__ = name
    queued.__signature__ = signature  # type: ignore[attr-defined] # what inspect looks for
    description = {
        "description": inspect.getdoc(getattr(plan, "func", plan)) or name,
        "parameters": {p.name: parameter_annotation(p, rig) for p in known},
    }
    decorated: Plan = parameter_annotation_decorator(description)(queued)
    return decorated


def _signature(plan: Plan, known: list[Parameter], rig: Rig) -> inspect.Signature:
    """The plan's own, without types; a device that has the name of its parameter is the default of that."""
    kinds = {p.name: p.kind for p in inspect.signature(plan).parameters.values()}
    made: list[inspect.Parameter] = []
    needed = False  # whether one of those that follow by position has no default
    for p in reversed(known):
        default = inspect.Parameter.empty if p.many else _default(p, rig)
        if not literal(default):
            raise RdaqError(f"the default {default!r} of {p.name} cannot be written down", hint="give it a plain one")
        positional = kinds[p.name] is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if positional and needed:
            default = inspect.Parameter.empty
        needed = needed or (positional and default is inspect.Parameter.empty)
        made.append(inspect.Parameter(p.name, kinds[p.name], default=default))
    return inspect.Signature(made[::-1])


def _default(parameter: Parameter, rig: Rig) -> Any:
    if not parameter.is_device or parameter.default is None:
        return parameter.default
    named = parameter.device
    return named if named in device_names(parameter, rig) else inspect.Parameter.empty


def _profile_plans(path: Path) -> dict[str, Plan]:
    """Plans that a Python profile itself defines: generator functions that say so by what they return."""
    files = {m: getattr(module, "__file__", None) for m, module in list(sys.modules.items()) if m.startswith("rdaq_")}
    names = [name for name, file in files.items() if file == str(path.resolve())]
    return {
        name: plan
        for module in names
        for name, plan in vars(sys.modules[module]).items()
        if inspect.isgeneratorfunction(plan) and plan.__module__ == module and not name.startswith("_")
        if typing.get_origin(typing.get_type_hints(plan).get("return")) is Generator
    }
