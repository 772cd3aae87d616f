"""Several rotators moved by one command (protocol manual, "HOST_GROUPADDRESS ga")."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from ophyd_async.core import AsyncStatus

from rdaq_ophyd.devices._ell14_motion import OVERHEAD, SILENCE, TURN_WAIT, RotatorLogic
from rdaq_ophyd.devices._ell14_protocol import digits, status
from rdaq_ophyd.devices._ell14_rotator import Ell14
from rdaq_ophyd.devices._ell14_status import OK, failure
from rdaq_ophyd.errors import LimitError, RdaqError


def move_together(rotators: Sequence[Ell14], angle: float) -> AsyncStatus[None]:
    """Turn all to ``angle``; parameters and errors as in ``Ell14Bus.move_together``."""
    before = [rotator.movable_logic.interrupts.count for rotator in rotators]
    names = ", ".join(rotator.name for rotator in rotators)
    return AsyncStatus(_together(rotators, angle, before), "group of " + names)


async def _together(rotators: Sequence[Ell14], angle: float, before: Sequence[int]) -> None:
    if len({rotator.info.per_degree for rotator in rotators}) > 1:
        told = ", ".join(f"{r.name} {r.info.per_degree:g}" for r in rotators)
        raise LimitError(f"one command cannot move these to the same angle: pulses per degree are {told}")
    await asyncio.gather(*(rotator.check_value(angle) for rotator in rotators))
    doing = f"on its way to {angle:g} with others"
    supply = rotators[0]._supply()
    logics = [rotator.movable_logic for rotator in rotators]

    def look() -> None:
        for logic, count in zip(logics, before, strict=True):
            logic.look(count, doing)

    async with supply.turn([logic.mover() for logic in logics], TURN_WAIT, look):
        try:
            await asyncio.gather(*(logic.wait_free(doing, n) for logic, n in zip(logics, before, strict=True)))
            here = await asyncio.gather(*(rotator.readback.get_value(cached=False) for rotator in rotators))
            speeds = await asyncio.gather(*(logic.speed() for logic in logics))
            for goal in _goals(rotators, here, angle):
                ways = [abs(goal - place) for place in here]
                seconds = [way / speed + OVERHEAD for way, speed in zip(ways, speeds, strict=True)]
                await _begin(rotators, goal, angle, seconds, look)
                await asyncio.gather(*(_end(logic, s, doing) for logic, s in zip(logics, seconds, strict=True)))
                here = [goal] * len(here)
            arrived = (logic.ended_at(angle, doing, n, math.inf) for logic, n in zip(logics, before, strict=True))
            await asyncio.gather(*arrived)
        except BaseException:
            for logic in logics:
                logic.give_up(supply)
            raise


def _goals(rotators: Sequence[Ell14], here: Sequence[float], angle: float) -> list[float]:
    """Where the single moves of all end, the last at ``angle``; none is longer than a rotator's segment.

    :raises LimitError: they stand too far apart for that.
    """
    segments = [logic.segment for logic in (r.movable_logic for r in rotators) if logic.segment is not None]
    if not segments:
        return [angle]
    segment, farthest = min(segments), max(here, key=lambda place: abs(angle - place))
    count = max(1, math.ceil(abs(angle - farthest) / segment - 1e-9))
    goals = [farthest + (angle - farthest) * i / count for i in range(1, count)] + [angle]
    if max(abs(goals[0] - place) for place in here) > segment * (1 + 1e-9):
        told = ", ".join(f"{r.name} at {place:g}" for r, place in zip(rotators, here, strict=True))
        raise LimitError(
            f"one command cannot move these by {segment:g} deg at most (segment): {told}",
            hint="turn them one by one to places closer together first, or make the bus without segment",
        )
    return goals


async def _begin(
    rotators: Sequence[Ell14], goal: float, angle: float, seconds: Sequence[float], look: Callable[[], None]
) -> None:
    """Start one move of all, to ``goal`` on the way to ``angle``."""
    leader, *followers = rotators
    for i, follower in enumerate(followers):
        look()
        try:
            await _join(follower, leader)
        except RdaqError as error:
            error.add_note(_stranded(leader, followers[: i + 1]))
            raise
    look()
    for rotator, its in zip(rotators, seconds, strict=True):
        rotator.aim(angle)
        rotator.movable_logic.begins(its)
    # Without a question behind it: all would answer at once, and spoil each other's bytes.
    try:
        await leader.channel.tell(f"{leader.address}ma{digits(round(goal * leader.info.per_degree))}")
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


async def _end(logic: RotatorLogic, seconds: float, doing: str) -> None:
    await logic.wait_done(seconds, doing, time.monotonic() + 1.5 * seconds + SILENCE)
    logic.ends = 0.0
