"""What a simulated declared instrument remembers, and how that changes with time."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from rdaq_ophyd.declaration import Expression, ExpressionError, Sim

logger = logging.getLogger(__name__)


class Evolution:
    """The state of an instrument, its derived values and its ramps.

    :ivar state: by the names in the file.
    """

    def __init__(self, sim: Sim) -> None:
        self.state: dict[str, Any] = copy.deepcopy(sim.state)
        self._derived = [(name, Expression(text)) for name, text in sim.derived.items()]
        self._ramps = [(ramp.state, Expression(ramp.target), Expression(ramp.rate)) for ramp in sim.ramp]
        self._now: float | None = None

    def names(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What names in expressions stand for: what was received, the state, what is derived from it."""
        names = {**self.state, **given}
        for name, expression in self._derived:
            names[name] = expression(names)
        return names

    def elapse(self, now: float) -> None:
        """Go on with each ramp until ``now``. Targets change with commands alone, so the steps may be of any length."""
        before, self._now = self._now, now
        if before is None or now <= before:
            return
        for name, target, rate in self._ramps:
            try:
                names = self.names({})
                self._step(name, float(target(names)), abs(float(rate(names))) * (now - before))
            except (ExpressionError, ValueError) as error:
                logger.error("the ramp of %s: %s", name, error)

    def _step(self, name: str, target: float, most: float) -> None:
        table, _, member = name.partition(".")
        holder, key = (self.state[table], member) if member else (self.state, table)
        left = target - holder[key]
        holder[key] = target if abs(left) <= most else holder[key] + (most if left > 0 else -most)


def assign(state: dict[str, Any], target: str, given: Mapping[str, Any], value: Any) -> None:
    """Give ``voltage`` or ``setpoint[output]`` of the state a new value.

    :param target: in its brackets stands a place in the received text, or a member.
    """
    table, bracket, key = target.partition("[")
    if not bracket:
        state[table] = value
        return
    key = key.removesuffix("]")
    member = str(given.get(key, key))
    if member not in state[table]:
        logger.error("the state has no %s[%s]", table, member)
        return
    state[table][member] = value
