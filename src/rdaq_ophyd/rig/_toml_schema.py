"""What may stand in a TOML profile."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

FORMAT = 1


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)


class RigTable(_Table):
    """``[rig]``: its name, facts that every run should carry, and where documents are published to."""

    name: str = Field(min_length=1)
    md: dict[str, Any] = {}
    publish: list[str] = []


class DeviceTable(_Table):
    """``[[device]]``: a class on a link, a declared instrument on a link, a part of another, or a calibrated axis."""

    name: str
    class_: str | None = Field(None, alias="class")
    declared: str | None = None
    part_of: str | None = None
    calibrates: str | None = None
    enabled: bool = True
    link: str | None = None
    address: int | str | None = None
    options: dict[str, Any] = {}
    limits: list[FiniteFloat] | dict[str, list[FiniteFloat]] | None = None
    safe: dict[str, Any] = {}
    axis: int | str | None = None
    part: str | None = None
    zero: str | None = None
    scale: str | None = None
    units: str | None = None


class CalibrationTable(_Table):
    """``[calibration.NAME]``: the value that holds until another is set, and its units."""

    value: FiniteFloat
    units: str
    precision: int = Field(6, ge=0)


class FollowTable(_Table):
    """``[[follow]]``: after each set of ``source``, ``signal`` is set to the same."""

    signal: str
    source: str


class RigFile(_Table):
    """The whole file."""

    format: Literal[1]
    rig: RigTable
    calibration: dict[str, CalibrationTable] = {}
    device: list[DeviceTable] = []
    follow: list[FollowTable] = []


KINDS: dict[str, frozenset[str]] = {
    "class": frozenset({"link", "address", "options", "limits", "safe"}),
    "declared": frozenset({"link", "address", "options", "limits", "safe"}),
    "part_of": frozenset({"axis", "part", "limits", "safe"}),
    "calibrates": frozenset({"zero", "scale", "units"}),
}
"""What says what a device is, and what may stand beside it (besides ``name`` and ``enabled``)."""


def keys_at(place: tuple[str | int, ...]) -> list[str]:
    """The keys that a table of the file may have."""
    table: type[BaseModel] = RigFile
    match place:
        case ("rig",):
            table = RigTable
        case ("device", int()):
            table = DeviceTable
        case ("calibration", str()):
            table = CalibrationTable
        case ("follow", int()):
            table = FollowTable
    return [field.alias or name for name, field in table.model_fields.items()]
