"""Stops: bounded, harmless when repeated, on the wire whatever waits for the port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from bluesky.protocols import Triggerable
from ophyd_async.core import AsyncStatus, Signal

from rdaq_ophyd.capabilities import Capability, StopMeans, capabilities, stop_capability
from rdaq_ophyd.signals import Ask, LinkDevice

from ._bench import Bench
from ._benched import Benched
from ._hints import Motion
from ._loops import BOUND, until
from ._members import link_backend, link_devices, safe_states

WAITING = 200
"""Questions that wait for the port while a stop is asked for."""
SLOW = 0.005
"""Seconds that the instrument takes for each of them."""
PASSED = 3
"""Exchanges that may still go out before a stop: the one in flight, one just begun, and the stop's own question."""
REACHES = {StopMeans.PREEMPTS, StopMeans.URGENT_LANE}


class StopTests(Benched):
    """``stop`` as a plan calls it; a stop of everything has tests of its own."""

    def test_stop_is_declared(self, idle_bench: Bench) -> None:
        """What moves says how it is stopped, and what stops it without its driver."""
        for motion in self.motions:
            part = idle_bench.part(motion.part)
            assert Capability.STOPPABLE in capabilities(part), f"{motion.title} moves, but has no stop()"
            assert stop_capability(part).means is not StopMeans.NONE, f"{motion.title}: declare `stop_capability`"
        if self.motions or self.emissions:
            states = safe_states(idle_bench.device)
            assert states, "it moves or emits: declare in `safe_states` which bytes make it safe"

    def test_stop_does_no_harm_when_idle(self, shared_bench: Bench) -> None:
        """Twice in a row, and three at the same time: the RunEngine stops what was set at the end of each plan."""
        bench = shared_bench
        if Capability.STOPPABLE not in capabilities(bench.device):
            pytest.skip("it has no stop()")

        async def stops() -> None:
            before = await bench.steady()
            for times in (1, 1, 3):
                async with asyncio.timeout(BOUND):
                    await asyncio.gather(*(_stop(bench.device) for _ in range(times)))
            await bench.check_values(before, "a stop of an idle device")

        bench.run(stops())

    def test_stop_ends_a_move(self, bench: Bench, motion: Motion) -> None:
        """The instrument stands still when ``stop`` returns, the move has ended, and the next one works."""
        part = bench.part(motion.part)

        async def move_and_stop() -> None:
            status = part.set(motion.far)
            await bench.until_active(motion)
            async with asyncio.timeout(BOUND):
                await _stop(part)
            assert motion.goes_on or not bench.active(motion), (
                f"{motion.title}: still moves when stop() has returned: does it reach the instrument, and wait until "
                f"that stands still?"
            )
            mark = bench.wire.mark()
            await _ended(status, f"the move of {motion.title} after its stop")
            await _nothing_more(bench, motion, mark)
            if status.success and stop_capability(part).means is StopMeans.BETWEEN_MOVES:
                await arrived(part, motion, motion.far)  # what had begun was all of it
            else:
                assert not status.success, (
                    f"{motion.title}: a move that was stopped counts as done; its status must fail"
                )
            await _moves(part, motion)

        bench.run(move_and_stop())

    def test_a_stop_that_comes_at_once(self, bench: Bench, motion: Motion) -> None:
        """Right after ``set``, before a byte of the move is out: the move does not overtake it, and fails."""
        part = bench.part(motion.part)

        async def set_and_stop() -> None:
            status = part.set(motion.far)
            async with asyncio.timeout(BOUND):
                await _stop(part)
            await _ended(status, f"a move of {motion.title} that was stopped at once")
            await bench.sync()
            overtaken = f"{motion.title}: a stop right after set() was overtaken by the move"
            remedy = "let set() note that it was asked for, send nothing after a stop, and fail"
            assert not status.success, f"{overtaken}, and counts as done: {remedy}"
            assert not bench.active(motion), f"{overtaken}: {remedy}"
            await stopped_short(bench, motion, "after a stop right after set()")
            await _moves(part, motion)

        bench.run(set_and_stop())

    def test_stop_goes_ahead_of_all_that_waits(self, bench: Bench, kind_of_motion: Motion) -> None:
        """With many questions of the same device waiting for a slow instrument, few of them pass before the stop."""
        motion = kind_of_motion
        part = bench.part(motion.part)
        if stop_capability(part).means not in REACHES:
            pytest.skip(f"{motion.title}: it stops by {stop_capability(part).means.value}")

        async def stop_among_readers() -> None:
            status = part.set(motion.far)
            await bench.until_active(motion)
            with _crowd(bench, part):
                mark = bench.wire.mark()
                async with asyncio.timeout(BOUND):
                    await _stop(part)
            assert not bench.active(motion), f"{motion.title}: still moves after a stop on a busy link"
            await _ended(status, "a move that was stopped on a busy link")
            passed = _passed(bench, mark)
            assert passed <= PASSED, (
                f"{motion.title}: {passed} exchanges went out before the stop; use Tell(..., preempt=True) or "
                f"Lane.URGENT, and self.now(signal) for the questions of a stop"
            )

        bench.run(stop_among_readers())

    def test_stop_ends_a_trigger(self, shared_bench: Bench) -> None:
        """A reading in progress ends, and the next one works."""
        bench = shared_bench
        device: Any = bench.device
        if not isinstance(device, Triggerable) or Capability.STOPPABLE not in capabilities(device):
            pytest.skip("it has no trigger, or no stop")

        async def trigger_and_stop() -> None:
            status = device.trigger()
            await asyncio.sleep(0)
            async with asyncio.timeout(BOUND):
                await _stop(device)
            await _ended(status, "a triggered reading after a stop")
            await _trigger(device)

        bench.run(trigger_and_stop())


@contextlib.contextmanager
def _crowd(bench: Bench, part: Any) -> Iterator[None]:
    """Questions that wait for the port: each one of its own, so that none is answered together with another."""
    channel = part.channel if isinstance(part, LinkDevice) else bench.device.channel
    question = channel.protocol.encode(_question(bench))
    before = bench.port.call(lambda _: bench.port.instrument.latency)
    bench.port.call(lambda _: setattr(bench.port.instrument, "latency", SLOW))
    waiting = [
        channel.link.submit(question, reply=channel.protocol.reply, timeout=BOUND, safe=True, who=channel.who)
        for _ in range(WAITING)
    ]
    try:
        yield
    finally:
        for future in waiting:
            future.cancel()  # one that was not sent yet never is
        bench.port.call(lambda _: setattr(bench.port.instrument, "latency", before))


def _question(bench: Bench) -> str:
    """The question of any signal."""
    for device in link_devices(bench.device).values():
        for _, child in device.children():
            backend = link_backend(child) if isinstance(child, Signal) else None
            if backend is not None and isinstance(ask := backend.value_source.quantity, Ask) and ask.read:
                return device.channel.text(ask.read)
    return pytest.fail("no signal is declared with a question: give one an Ask")


def _passed(bench: Bench, mark: int) -> int:
    """Command lines that were heard between the mark and the bytes that stop."""
    heard = bench.wire.since(mark)
    halts = [state.halt for state in safe_states(bench.device)]
    places = [heard.find(halt) for halt in halts if halt in heard]
    assert places, f"none of the bytes in `safe_states` ({halts}) was sent by stop()"
    end = bench.device.protocol.command_end.encode()
    return heard[: min(places)].count(end) if end else 0


async def _nothing_more(bench: Bench, motion: Motion, mark: int) -> None:
    """What moves was told nothing since ``mark``, when its stop had returned: no further part of its way either."""
    await bench.until_still(motion, "long after its stop")
    await bench.sync()
    sent = bench.wire.hazards(mark)
    assert not sent, f"{motion.title}: when stop() had returned, {sent} was sent: a stop ends the whole move"


async def _ended(status: Any, what: str) -> None:
    await until(lambda: status.done, f"{what} never ended")
    status.exception()


async def arrived(part: Any, motion: Motion, target: float) -> None:
    """It stands at its target, as far as it tells where it is."""
    if hasattr(part, "locate"):
        found = (await part.locate())["readback"]
        assert abs(found - target) <= motion.tolerance, f"{motion.title}: sent to {target}, stands at {found}"


async def stopped_short(bench: Bench, motion: Motion, when: str) -> None:
    """A move to ``far`` was stopped: the instrument comes to rest, and not at its target."""
    part = bench.part(motion.part)
    await bench.until_still(motion, when)
    runs_on = motion.goes_on or stop_capability(part).means is StopMeans.BETWEEN_MOVES
    if hasattr(part, "locate") and not runs_on:
        found = (await part.locate())["readback"]
        assert abs(found - motion.far) > motion.tolerance, f"{motion.title}: went on to its target {when}"


async def _moves(part: Any, motion: Motion) -> None:
    await part.set(motion.near)
    await arrived(part, motion, motion.near)


async def _trigger(device: Any) -> None:
    await device.trigger()


async def _stop(device: Any, success: bool = False) -> None:
    result = device.stop(success=success)
    if isinstance(result, AsyncStatus) or hasattr(result, "__await__"):
        await result
