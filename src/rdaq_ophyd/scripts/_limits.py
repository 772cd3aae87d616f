"""How much a script may have of everything."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rdaq_ophyd.errors import LimitError


@dataclass(frozen=True)
class ScriptLimits:
    """Bounds of a script; one that passes them ends, and nothing else does.

    :param source: bytes of the script.
    :param arguments: bytes of its arguments, together.
    :param memory: bytes of address space of its process (``RLIMIT_AS``).
    :param loading: seconds to import it and to bind its arguments.
    :param thinking: seconds from an answer to the next message, the time for answers of the rig not counted.
    :param ending: seconds that it gets to end when its plan is over, or taken down.
    :param a_minute: how many scripts may be begun in a minute.
    :raises LimitError: one is no positive, finite number.
    """

    source: int = 1 << 20
    arguments: int = 64 << 10
    memory: float = 4 << 30
    loading: float = 60.0
    thinking: float = 60.0
    ending: float = 5.0
    a_minute: int = 30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise LimitError(f"scripts: {name} = {value}", hint="give a number above 0")
