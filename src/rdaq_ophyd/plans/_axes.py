"""Motor power: controllers start with it off, and a plan that moves an axis needs it on."""

from __future__ import annotations

from typing import Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable
from bluesky.utils import MsgGenerator

__all__ = ["disable", "enable"]


def enable(*axes: Movable[Any]) -> MsgGenerator[None]:
    """Switch the motors of axes on; axes without a motor switch (``enabled``) are left as they are."""
    yield from _switch(axes, on=True)


def disable(*axes: Movable[Any]) -> MsgGenerator[None]:
    """Switch the motors of axes off. A vertical stage without a brake drops."""
    yield from _switch(axes, on=False)


def _switch(axes: tuple[Movable[Any], ...], *, on: bool) -> MsgGenerator[None]:
    switches = [switch for axis in axes if isinstance(switch := getattr(axis, "enabled", None), Movable)]
    if switches:
        yield from bps.mv(*(item for switch in switches for item in (switch, on)))
