"""Bluesky's own plans for a queue, and the stubs that belong between two of them.

queueserver takes any text for a device of theirs and finds out when the plan runs. With the rig's devices listed, it
refuses a wrong name when the item is added.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from bluesky import plan_stubs, plans
from bluesky.protocols import Flyable, Movable, Readable
from bluesky.utils import MsgGenerator
from bluesky_queueserver import parameter_annotation_decorator

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import Plan

from ._annotations import whole_devices

__all__ = ["bluesky_plans"]

#: By the names that bluesky 1.15 gives its parameters: the capability, and the type that is made of it.
DEVICES: dict[str, tuple[type, str]] = {
    "detectors": (Readable, "typing.List[Readable]"),
    "flyers": (Flyable, "typing.List[Flyable]"),
    "motor": (Movable, "Movable"),
    "x_motor": (Movable, "Movable"),
    "y_motor": (Movable, "Movable"),
    "motor1": (Movable, "Movable"),
    "motor2": (Movable, "Movable"),
    "args": (Movable, "typing.Union[Movable, int, float, bool, typing.List[float]]"),
}
#: These take what only Python has, ask a person at a terminal, or are old names of others.
LEFT_OUT = frozenset({"inner_product_scan", "outer_product_scan", "ramp_plan", "scan_nd", "tweak"})


def bluesky_plans(rig: Rig) -> dict[str, Plan]:
    """Bluesky's plans by name, without those for which the rig has no device; and ``mv``, ``mvr``, ``sleep``."""
    theirs = {n: f for n, f in vars(plans).items() if inspect.isgeneratorfunction(f) and f.__name__ == n}
    theirs |= {"mv": _moves(plan_stubs.mv), "mvr": _moves(plan_stubs.mvr)}
    found = {name: _described(plan, rig) for name, plan in theirs.items() if name not in LEFT_OUT}
    return {name: plan for name, plan in found.items() if plan is not None} | {"sleep": plan_stubs.sleep}


def _described(plan: Plan, rig: Rig) -> Plan | None:
    about: dict[str, Any] = {}
    for name in inspect.signature(plan).parameters:
        if name in DEVICES:
            kind, text = DEVICES[name]
            devices = [known for known, device in whole_devices(rig) if isinstance(device, kind)]
            if not devices:
                return None
            about[name] = {"annotation": text, "devices": {kind.__name__: devices}}
    decorated: Plan = parameter_annotation_decorator({"parameters": about})(plan)
    return decorated


def _moves(stub: Callable[..., MsgGenerator[Any]]) -> Plan:
    """Axes and positions in turn, and nothing else: the stub itself takes any words and fails on them later."""

    def moves(*args: Any) -> MsgGenerator[Any]:
        if not args or len(args) % 2 or not all(isinstance(axis, Movable) for axis in args[::2]):
            raise RdaqError(f"{stub.__name__}{args}: no axes and positions in turn", hint='["x", 1.5, "y", 0]')
        return (yield from stub(*args))

    moves.__name__ = moves.__qualname__ = stub.__name__
    moves.__doc__ = f"{stub.__name__}(axis, position, axis, position, ...): all axes together."
    return moves
