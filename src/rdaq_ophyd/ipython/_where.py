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
    ends: Any = logic
    if hasattr(ends, "low_limit") and hasattr(ends, "high_limit"):  # the instrument's, as they are now
        await asyncio.gather(ends.low_limit.get_value(), ends.high_limit.get_value())
    key: Any = next(iter((await (logic.setpoint if logic else axis).describe()).values()))
    low, high = _limits(key)
    return Row(axis.name, location["readback"], location["setpoint"], low, high, key.get("units", ""))


def _limits(key: Any) -> tuple[float | None, float | None]:
    """Those that a move is held to: of instrument and profile the tighter, as the setpoint is described."""
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
