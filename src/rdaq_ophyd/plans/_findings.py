"""What a plan found, as one event in the run's stream ``fit``: read back like everything else that was measured."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Reading
from bluesky.utils import MsgGenerator
from event_model import DataKey

__all__ = ["record"]


class _Findings:
    """A device as the RunEngine sees it: the fields of a dataclass of numbers.

    Units are those in each field's metadata: a text, or the ``unit_of`` an axis.
    """

    name = "fit"
    parent = None

    def __init__(self, found: Any, units: Mapping[str, str], left_out: int) -> None:
        self._values = {**dataclasses.asdict(found), "left_out": left_out}
        self._units = {
            f.name: units.get(f.metadata.get("units", ""), f.metadata.get("units", ""))
            for f in dataclasses.fields(found)
        }
        self._units["left_out"] = ""
        self._source = f"plan:{type(found).__name__}"
        self._time = time.time()

    def describe(self) -> dict[str, DataKey]:
        """One number each."""
        return {
            name: DataKey(
                source=self._source,
                dtype="integer" if isinstance(value, int) else "number",
                shape=[],
                units=self._units[name],
            )
            for name, value in self._values.items()
        }

    def read(self) -> dict[str, Reading[Any]]:
        """The values."""
        return {name: Reading(value=value, timestamp=self._time) for name, value in self._values.items()}


def record(found: Any, units: Mapping[str, str] | None = None, left_out: int = 0) -> MsgGenerator[None]:
    """Record a dataclass of numbers in the open run; None records nothing.

    :param units: what the placeholders in the fields' metadata stand for (``{"x": "mm"}``).
    :param left_out: points that were not trusted, recorded as ``left_out``.
    """
    if found is not None:
        yield from bps.trigger_and_read([_Findings(found, units or {}, left_out)], name="fit")
