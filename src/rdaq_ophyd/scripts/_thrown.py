"""Exceptions between the rig and a script: the plan's ``except`` and its clean-up work as they do beside the engine.

What the rig throws into the plan is numbered. When the plan lets it through, the same object goes on in the rig, so
that the engine knows its own aborts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rdaq_ophyd import errors
from rdaq_ophyd.errors import RdaqError, ScriptFailed
from rdaq_ophyd.wire import error_from, messages

from ._models import name_of

DEEPEST = 8
"""Causes of causes."""
NUMBER = "_rdaq_number"
"""Attribute of an exception in the script's process: which one of the rig's it is."""


# -- from the rig to the script ------------------------------------------------------------------------------------


def thrown(error: BaseException, number: int, encode: Callable[[Any], Any], depth: int = 0) -> dict[str, Any]:
    """An exception of the rig, for the script's process.

    :param encode: makes of any value what can travel.
    """
    cause = error.__cause__ if depth < DEEPEST else None
    return {
        "number": number,
        "classes": [name_of(cls) for cls in type(error).__mro__ if cls is not object],
        "args": [encode(argument) for argument in _arguments(error)],
        "more": {key: encode(value) for key, value in vars(error).items() if not key.startswith("_")},
        "cause": None if cause is None else thrown(cause, -1, encode, depth + 1),
    }


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """What makes it again; an ``OSError`` keeps its file elsewhere than in ``args``."""
    return error.__reduce__()[1] if isinstance(error, OSError) else error.args  # type: ignore[return-value]


def caught(message: dict[str, Any], decode: Callable[[Any], Any]) -> BaseException:
    """The same in the script's process: of the nearest class that is loaded there."""
    cls = next(cls for name in message["classes"] if (cls := _loaded(name)) is not None)
    arguments = [decode(argument) for argument in message["args"]]
    plain = cls.__module__ == "builtins"  # ours are made from other things than their arguments
    error: BaseException = cls(*arguments) if plain else cls.__new__(cls, *arguments)
    for key, value in message["more"].items():
        setattr(error, key, decode(value))
    setattr(error, NUMBER, message["number"])
    if message["cause"] is not None:
        error.__cause__ = caught(message["cause"], decode)
    return error


def _loaded(name: str) -> type[BaseException] | None:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


# -- from the script to the rig ------------------------------------------------------------------------------------


def told(error: BaseException, lines: str) -> dict[str, Any]:
    """An exception that ended the plan, for the rig.

    :param lines: of the script, where it was raised.
    """
    number = getattr(error, NUMBER, -1)
    if isinstance(number, int) and number >= 0:
        return {"same": number}
    if isinstance(error, RdaqError):
        return {"kind": type(error).__name__, "what": error.what, "hint": error.hint, "lines": lines}
    if isinstance(error, SystemExit):
        return {"kind": "", "what": f"it called exit({error.code!r})", "hint": "", "lines": lines}
    return {"kind": type(error).__name__, "what": str(error), "hint": "", "lines": lines}


def failure(name: str, message: dict[str, Any]) -> Exception:
    """What to raise in the rig for it.

    :param name: of the script.
    """
    kind, what, hint, lines = (str(message.get(key, "")) for key in ("kind", "what", "hint", "lines"))
    cls = getattr(errors, kind, None)
    if isinstance(cls, type) and issubclass(cls, RdaqError):
        return error_from(messages.Error(kind=kind, what=what, hint=hint))
    where = f" ({'; '.join(lines.split('\n'))})" if lines else ""
    return ScriptFailed(f"{name}: {f'{kind}: ' if kind else ''}{what}{where}", hint="mend the script")
