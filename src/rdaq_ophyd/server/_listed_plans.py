"""The plans as clients see them; a file that cannot be loaded is left out, and told in the log."""

from __future__ import annotations

import inspect
import json
import logging

from rdaq_ophyd.startup import Parameter, Plan, Session, parameters
from rdaq_ophyd.wire import messages

from ._session_plans import find_any_plan, known_plans

logger = logging.getLogger(__name__)
_told: dict[str, str] = {}
"""What the log already says of a plan: clients ask often."""


def listed_plans(session: Session) -> messages.ListPlansReply:
    """All that can be loaded. Whoever asks for one that cannot is told why: file and line."""
    reply = messages.ListPlansReply()
    for name in known_plans(session):
        try:
            reply.plans.append(_described(name, find_any_plan(session, name), session))
        except Exception as error:  # noqa: BLE001 the others are there, whatever is wrong with this one
            _tell(name, f"{type(error).__name__}: {error}")
        else:
            _told.pop(name, None)
    return reply


def _tell(name: str, why: str) -> None:
    if _told.get(name) != why:
        _told[name] = why
        logger.warning("plan %s is left out of the list: %s", name, why)


def _described(name: str, plan: Plan, session: Session) -> messages.Plan:
    doc = inspect.getdoc(getattr(plan, "func", plan)) or ""
    return messages.Plan(name=name, doc=doc, parameters=[_parameter(p, session) for p in parameters(plan)])


def _parameter(parameter: Parameter, session: Session) -> messages.Parameter:
    default = "" if parameter.required else repr(parameter.default)
    return messages.Parameter(
        name=parameter.name,
        required=parameter.required and not parameter.is_device,
        device=parameter.is_device,
        many=parameter.many,
        default_text=(parameter.device or "") if parameter.is_device else default,
        help=parameter.help,
        schema="" if parameter.is_device else json.dumps(parameter.schema()),
        devices=parameter.fitting(session.rig) if parameter.is_device else (),
    )
