"""The requests that this process answers, as long as it has something to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from ._latch import latch
from ._listener import Answer, Answers, Listener
from ._reset import doubtful_here, reset
from ._stop_all import stop_all
from ._targets import observe, targets

logger = logging.getLogger(__name__)


def _stop(request: Mapping[str, Any]) -> Mapping[str, Any]:
    report = stop_all(str(request["reason"]), by=str(request["by"]))
    return {"report": str(report), "unconfirmed": len(report.unconfirmed)}


def _reset(request: Mapping[str, Any]) -> Mapping[str, Any]:
    reset(str(request["reason"]), by=str(request["by"]), force=bool(request.get("force")))
    return {"tripped": latch.tripped}


def _doubtful(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"doubtful": doubtful_here(str(request["by"]))}


def _status(_request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "tripped": latch.tripped,
        "why": latch.why if latch.tripped else "",
        "latch": str(latch.path or ""),
        "verdicts": [str(verdict) for verdict in latch.verdicts or ()],
        "devices": [name for target in targets() for name in target.devices()],
    }


_answers: Answers = {"stop": _stop, "reset": _reset, "doubtful": _doubtful, "status": _status}
_lock = threading.Lock()
_listener: Listener | None = None


def answer(word: str, do: Answer) -> None:
    """Answer ``word`` by ``do`` from now on."""
    _answers[word] = do


def _follow() -> None:
    """Listen while there is a target. Called after each change of the targets, by any thread."""
    global _listener
    with _lock:
        if targets() and _listener is None:
            try:
                _listener = Listener(_answers)
            except OSError as error:
                logger.error("`rdaq stop` will not reach this process: %s", error)
        elif not targets() and _listener is not None:
            _listener.close()
            _listener = None


observe(_follow)
