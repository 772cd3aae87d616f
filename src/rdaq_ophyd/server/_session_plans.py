"""Plans that every server offers besides the library's: what a person at the prompt does with magics."""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.protocols import Locatable, Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.startup import Plan, Session, find_plan, plan_names

Names = Annotated[list[str], Field(description="names of axes")]


def known_plans(session: Session) -> list[str]:
    """The names of all plans."""
    return sorted({*plan_names(), *_own(session)})


def find_any_plan(session: Session, name: str) -> Plan:
    """A plan by its name; the library's and scripts come first."""
    own = _own(session)
    return own[name] if name in own and name not in plan_names() else find_plan(name)


def _own(session: Session) -> dict[str, Plan]:
    return {
        "count": count,
        "move": functools.partial(move, session),  # which shows the other parameters alone
        "save_position": functools.partial(save_position, session),
        "restore_position": functools.partial(restore_position, session),
    }


def count(
    *detectors: Readable[Any],
    num: Annotated[int, Field(ge=1, le=10_000_000, description="number of readings")] = 1,
    delay: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="seconds between two readings", json_schema_extra={"units": "s"}),
    ] = 0.0,
) -> MsgGenerator[Any]:
    """Read detectors, recorded as a run: Bluesky's own ``count``."""
    return (yield from bp.count(list(detectors), num, delay))


def move(
    session: Session,
    axes: Names,
    targets: Annotated[list[float], Field(description="as many, in each axis' units")],
    relative: Annotated[bool, Field(description="distances from where they are")] = False,
) -> MsgGenerator[None]:
    """Move axes together, without a run."""
    if not axes or len(axes) != len(targets):
        raise LimitError(f"{len(targets)} targets for {len(axes)} axes", hint="give one target for each axis")
    if twice := sorted({name for name in axes if axes.count(name) > 1}):
        raise LimitError(f"{', '.join(twice)} named twice", hint="give one target for each axis")
    found: list[Any] = []
    for name, target in zip(axes, targets, strict=True):
        axis = session.rig[name]
        if not isinstance(axis, Movable):
            raise RdaqError(f"{name} is a {type(axis).__name__}, not an axis", hint="name axes")
        if not math.isfinite(target):
            raise LimitError(f"{name}: {target} is not a finite position", hint="give a number")
        found += [axis, target]
    yield from bps.mvr(*found) if relative else bps.mv(*found)


def save_position(
    session: Session,
    name: Annotated[str, Field(min_length=1, description="for restore_position")],
    axes: Annotated[list[str], Field(description="names; none: all axes")] = [],  # noqa: B006 it is never changed
) -> MsgGenerator[dict[str, float]]:
    """Keep where axes stand under a name."""
    names = axes or [n for n, device in session.rig.devices.items() if isinstance(device, Locatable)]
    return (yield from session.positions.save(name, names))


def restore_position(
    session: Session, name: Annotated[str, Field(min_length=1, description="of a saved position")]
) -> MsgGenerator[None]:
    """Move all axes of a saved position back to it, together."""
    yield from session.positions.restore(name)
