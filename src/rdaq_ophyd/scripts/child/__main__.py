"""``python -m rdaq_ophyd.scripts.child FD MEMORY PARENT``: run the script that the rig sends; started by the rig."""

from __future__ import annotations

import inspect
import logging
import signal
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any

from bluesky.utils import Msg

from rdaq_ophyd.scripts._process import INTERRUPT
from rdaq_ophyd.scripts._thrown import told

from ._confine import confine
from ._conversation import Conversation
from ._load import load, own_lines, rig_of
from ._pipe import Pipe

RESULT_CHARACTERS = 10_000


def main(fd: int, memory: int, parent: int) -> None:
    """Load, run, tell."""
    confine(memory, parent)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    pipe = Pipe(socket.socket(fileno=fd))
    about = pipe.receive()["begin"]
    talk = Conversation(pipe, about)
    signal.signal(INTERRUPT, talk.interrupted)
    sys.argv = [about["name"], *about["arguments"]]
    try:
        plan = load(about["name"], about["arguments"], rig_of(about, talk.devices))
    except BaseException as error:  # noqa: BLE001 the rig tells who asked
        asked_for_help = isinstance(error, SystemExit) and not error.code
        talk.tell(loaded=False, error=None if asked_for_help else told(error, own_lines(error)))
        return
    talk.thinks = lambda: inspect.getgeneratorstate(plan) == inspect.GEN_RUNNING
    talk.tell(loaded=True)
    try:
        talk.tell(returned=_run(plan, talk))
    except GeneratorExit:
        plan.close()  # the rig does not wait for it
    except BaseException as error:  # noqa: BLE001 it is raised in the rig
        talk.tell(raised=told(error, own_lines(error)))
    finally:
        talk.close()


def _run(plan: Generator[Msg, Any, Any], talk: Conversation) -> str | None:
    """Drive the plan; what it returned."""
    step: Callable[[], Any] = _sending(plan, talk.follow())
    while True:
        try:
            message = step()
        except StopIteration as end:
            return None if end.value is None else str(end.value)[:RESULT_CHARACTERS]
        try:
            step = _sending(plan, talk.do(message))
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 the plan's own affair
            step = _throwing(plan, error)


def _sending(plan: Generator[Msg, Any, Any], response: Any) -> Callable[[], Any]:
    return lambda: plan.send(response)


def _throwing(plan: Generator[Msg, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: plan.throw(error)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
