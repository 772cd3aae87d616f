"""What is triggered by hand: one reading of a detector, a homing, a warm-up."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from bluesky.protocols import Stoppable, Triggerable
from bluesky.utils import maybe_await
from ophyd_async.core import Device, StandardDetector

from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.startup import stop_one
from rdaq_ophyd.wire import messages

LONGEST = 3600.0
"""Seconds that something triggered may take; a warm-up takes minutes."""


def check_trigger(device: Device, request: messages.TriggerRequest) -> float | None:
    """Whether it may be triggered; the seconds that it may take, None for as long as it takes.

    :raises LimitError: it cannot be, it needs a run for it, or the time is none.
    """
    name = request.name
    if isinstance(device, StandardDetector):
        raise LimitError(f"{name} writes files, which belong to a run", hint=f"run the plan count: detectors {name}")
    if not isinstance(device, Triggerable):
        found = [part for part, child in device.children() if isinstance(child, Triggerable)]
        raise LimitError(
            f"{name} cannot be triggered", hint=f"what can, of its parts: {', '.join(found) or 'none'}; or read it"
        )
    if not (math.isfinite(request.timeout) and 0 <= request.timeout <= LONGEST):
        raise LimitError(f"{name}: timeout {request.timeout:g} s", hint=f"up to {LONGEST:g} s, 0: as long as it takes")
    return request.timeout or None


async def triggered(device: Any, timeout: float | None) -> None:
    """Trigger it and wait; left early, it is stopped.

    :raises RdaqError: it took longer; it was stopped.
    """
    bound = asyncio.timeout(timeout)
    try:
        async with bound:
            await maybe_await(device.trigger())
    except (asyncio.CancelledError, TimeoutError) as error:
        await _stop(device)
        if not bound.expired():
            raise
        what = f"{device.name} took longer than {timeout:g} s, and was stopped"
        raise RdaqError(what, hint="give it longer; timeout 0: as long as it takes") from error


async def _stop(device: Any) -> None:
    """Stop it, or what it is a part of: a homing is stopped by its axis."""
    part = device
    while part is not None:
        if isinstance(part, Stoppable):
            await stop_one(part, success=False)
            return
        part = part.parent
