"""Where all axes are: the table of ``%wa``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bluesky.protocols import Locatable
from ophyd_async.core import Device, StandardMovable

__all__ = ["Row", "table", "where"]


@dataclass(frozen=True)
class Row:
    """One axis: readback, setpoint, limits (None where there is none) and units."""

    name: str
    readback: float
    setpoint: float
    low: float | None
    high: float | None
    units: str


async def where(axes: Iterable[Device]) -> list[Row]:
    """Ask all axes at once; those that are no axes are left out."""
    return list(await asyncio.gather(*(_row(a) for a in axes if isinstance(a, Locatable))))


async def _row(axis: Any) -> Row:
    location = await axis.locate()
    logic = axis.movable_logic if isinstance(axis, StandardMovable) else None
    key: Any = next(iter((await (logic.setpoint if logic else axis).describe()).values()))
    low, high = await _limits(logic, key)
    return Row(axis.name, location["readback"], location["setpoint"], low, high, key.get("units", ""))


async def _limits(logic: Any, key: Any) -> tuple[float | None, float | None]:
    """Soft limits that the axis has as signals, else those declared with its setpoint."""
    if hasattr(logic, "low_limit") and hasattr(logic, "high_limit"):
        low, high = await asyncio.gather(logic.low_limit.get_value(), logic.high_limit.get_value())
        return low, high
    declared = key.get("limits", {}).get("control", {})
    return declared.get("low"), declared.get("high")


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    lines = [f"{'axis':<16}{'readback':>12}{'setpoint':>12}{'low':>10}{'high':>10}  units"]
    for r in rows:
        low, high = ("-" if v is None else f"{v:g}" for v in (r.low, r.high))
        lines.append(f"{r.name:<16}{_number(r.readback):>12}{_number(r.setpoint):>12}{low:>10}{high:>10}  {r.units}")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
