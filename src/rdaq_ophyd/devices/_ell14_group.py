"""Several rotators moved by one command (protocol manual, "HOST_GROUPADDRESS ga")."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from ophyd_async.core import AsyncStatus

from rdaq_ophyd.devices._ell14_motion import OVERHEAD, SILENCE, TURN_WAIT
from rdaq_ophyd.devices._ell14_protocol import digits, status
from rdaq_ophyd.devices._ell14_rotator import Ell14
from rdaq_ophyd.devices._ell14_status import OK, failure
from rdaq_ophyd.errors import LimitError, RdaqError


def move_together(rotators: Sequence[Ell14], angle: float) -> AsyncStatus[None]:
    """Turn all to ``angle``; parameters and errors as in ``Ell14Bus.move_together``."""
    before = {rotator.name: rotator.movable_logic.interrupts.count for rotator in rotators}
    return AsyncStatus(_together(rotators, angle, before), "group of " + ", ".join(before))


async def _together(rotators: Sequence[Ell14], angle: float, before: dict[str, int]) -> None:
    if len({rotator.info.per_degree for rotator in rotators}) > 1:
        told = ", ".join(f"{r.name} {r.info.per_degree:g}" for r in rotators)
        raise LimitError(f"one command cannot move these to the same angle: pulses per degree are {told}")
    await asyncio.gather(*(rotator.check_value(angle) for rotator in rotators))
    doing = f"on its way to {angle:g} with others"
    supply = rotators[0]._supply()

    def look() -> None:
        for rotator in rotators:
            rotator.movable_logic.look(before[rotator.name], doing)

    async with supply.turn(list(before), TURN_WAIT, look):
        try:
            await asyncio.gather(*(r.movable_logic.wait_free(doing, before[r.name]) for r in rotators))
            seconds = await _seconds(rotators, angle)
            await _begin(rotators, angle, seconds, look)
            await asyncio.gather(*(_finish(r, angle, seconds, doing, before[r.name]) for r in rotators))
        except BaseException:
            for rotator in rotators:
                rotator.movable_logic.give_up(supply)
            raise


async def _seconds(rotators: Sequence[Ell14], angle: float) -> float:
    """The time that the slowest takes."""
    here = await asyncio.gather(*(rotator.readback.get_value(cached=False) for rotator in rotators))
    speeds = await asyncio.gather(*(rotator.movable_logic.speed() for rotator in rotators))
    longest: float = max(abs(angle - place) / speed for place, speed in zip(here, speeds, strict=True))
    return longest + OVERHEAD


async def _begin(rotators: Sequence[Ell14], angle: float, seconds: float, look: Callable[[], None]) -> None:
    leader, *followers = rotators
    for i, follower in enumerate(followers):
        look()
        try:
            await _join(follower, leader)
        except RdaqError as error:
            error.add_note(_stranded(leader, followers[: i + 1]))
            raise
    for rotator in rotators:
        rotator.aim(angle)
        rotator.movable_logic.ends = time.monotonic() + seconds + SILENCE
    # Without a question behind it: all would answer at once, and spoil each other's bytes.
    try:
        await leader.channel.tell(f"{leader.address}ma{digits(round(angle * leader.info.per_degree))}")
    except RdaqError as error:
        error.add_note(_stranded(leader, followers))
        raise


async def _join(follower: Ell14, leader: Ell14) -> None:
    sent = f"{follower.address}ga{leader.address}"
    if (code := status(await follower.channel.exchange(sent))) != OK:
        raise failure(follower.name, code, f"in answer to {sent!r}")


def _stranded(leader: Ell14, followers: Sequence[Ell14]) -> str:
    names = ", ".join(follower.name for follower in followers)
    return f"{names} may answer at address {leader.address} only, until the next move of {leader.name}"


async def _finish(rotator: Ell14, angle: float, seconds: float, doing: str, before: int) -> None:
    logic = rotator.movable_logic
    await logic.wait_done(seconds, doing, time.monotonic() + 1.5 * seconds + SILENCE)
    logic.ends = 0.0
    await logic.ended_at(angle, doing, before, math.inf)
