"""Units of a plan's parameters, for those who make forms of them: ``json_schema_extra`` of a pydantic field."""

from __future__ import annotations

from pydantic.config import JsonDict

__all__ = ["HERTZ", "NANOMETRES", "SECONDS", "distance_of", "position_of"]

SECONDS: JsonDict = {"units": "s"}
HERTZ: JsonDict = {"units": "Hz"}
NANOMETRES: JsonDict = {"units": "nm"}


def position_of(axis: str) -> JsonDict:
    """A position of the device that another parameter names: it has its units and its limits."""
    return {"position_of": axis}


def distance_of(axis: str) -> JsonDict:
    """A distance: it has the units alone."""
    return {"units_of": axis}
