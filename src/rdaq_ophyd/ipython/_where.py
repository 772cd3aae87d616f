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
    signal = axis.movable_logic.setpoint if isinstance(axis, StandardMovable) else axis
    key: Any = next(iter((await signal.describe()).values()))
    limits = key.get("limits", {}).get("control", {})
    return Row(
        axis.name,
        location["readback"],
        location["setpoint"],
        limits.get("low"),
        limits.get("high"),
        key.get("units", ""),
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    lines = [f"{'axis':<16}{'readback':>12}{'setpoint':>12}{'low':>10}{'high':>10}  units"]
    for r in rows:
        low, high = ("-" if v is None else f"{v:g}" for v in (r.low, r.high))
        lines.append(f"{r.name:<16}{_number(r.readback):>12}{_number(r.setpoint):>12}{low:>10}{high:>10}  {r.units}")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
