"""The plan that the rig's engine runs: it yields what a script's process yields, and gives it the responses."""

from __future__ import annotations

import logging
from typing import Any

from bluesky import Msg
from bluesky.utils import FailedStatus, MsgGenerator, RunEngineControlException

from rdaq_ophyd.errors import LimitError, ScriptFailed

from ._channel import CLOSED
from ._lights import Lights
from ._talk import Talk
from ._thrown import failure

logger = logging.getLogger(__name__)


def driven(talk: Talk, lights: Lights) -> MsgGenerator[str | None]:
    """Run the plan of a script that is loaded.

    While the script thinks the engine awaits (``wait_for``), and can be paused and ended at any time. A process that
    fails takes light that it switched on with it; all else is the engine's own clean-up, as for any plan that fails.

    :return: what the plan returned, as Python writes it.
    :raises ScriptFailed: its process ended, hung, or sent what is no message.
    """
    try:
        talk.respond(None)
        result = yield from _followed(talk, lights)
    except BaseException:
        talk.close()
        raise
    return result


def _followed(talk: Talk, lights: Lights) -> MsgGenerator[str | None]:
    thrown: Exception | None = None
    held: FailedStatus | None = None
    while True:
        try:
            yield from _next(talk)
        except FailedStatus as error:  # beside the engine a plan hears of it at its next message, and so it does here
            held = thrown = error
            continue
        except Exception as error:  # noqa: BLE001 whatever the engine throws is the plan's affair
            thrown = error
            talk.throw(error)
            continue
        step = talk.step
        if step is None:
            yield from _gone(talk, lights, thrown)
        elif "message" not in step:
            return (yield from _ended(talk, step, held))
        elif held is not None:
            talk.throw(held)
        else:
            thrown = (yield from _done(talk, lights)) or thrown
        held = None


def _next(talk: Talk) -> MsgGenerator[None]:
    number = talk.steps
    while not talk.has_step(number):
        yield Msg("wait_for", None, [lambda: talk.until_step(number)])


def _done(talk: Talk, lights: Lights) -> MsgGenerator[Exception | None]:
    """Do what the step says, and give the response; what the engine threw instead of one."""
    try:
        message = talk.message()
    except (LimitError, LookupError, TypeError, ValueError, RecursionError) as error:
        talk.die(f"sent something that is no message: {error}")
        talk.step = None
        return None
    lights.note(message)
    try:
        response = yield message
    except Exception as error:  # noqa: BLE001 likewise
        talk.throw(error)
        return error
    try:
        talk.respond(response)
    except LimitError as error:
        talk.throw(error)
    return None


def _ended(talk: Talk, step: dict[str, Any], failed: FailedStatus | None) -> MsgGenerator[str | None]:
    yield from _over(talk)
    if failed is not None:
        raise failed
    if "returned" in step:
        result = step["returned"]
        return None if result is None else str(result)
    raised = step["raised"] if isinstance(step["raised"], dict) else {}
    raise talk.same(raised.get("same")) or failure(talk.name, raised)


def _gone(talk: Talk, lights: Lights, thrown: Exception | None) -> MsgGenerator[None]:
    yield from _over(talk)
    yield from lights.darken()
    error = failed(talk)
    if isinstance(thrown, RunEngineControlException):  # it was to end anyway: the run says so
        logger.error("%s", error)
        raise thrown
    raise error from thrown


def _over(talk: Talk) -> MsgGenerator[None]:
    talk.end()
    while not talk.process.over:
        yield Msg("wait_for", None, [talk.until_over])


def failed(talk: Talk, when: str = "before its plan was over") -> ScriptFailed:
    """What became of its process, in words; when that is over."""
    why = talk.process.fate if talk.dead == CLOSED else ""
    last = f"; it printed: {talk.process.tail}" if talk.process.tail else ""
    return ScriptFailed(
        f"{talk.name} {why or talk.dead} {when}{last}",
        hint="mend the script; what it measured is kept",
    )
