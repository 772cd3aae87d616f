"""Cancelling at every point at which something waits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from itertools import cycle
from typing import Any

import pytest
from bluesky.protocols import Triggerable

from ._bench import Bench
from ._benched import Benched
from ._hints import Motion
from ._members import one_of_each_kind, settings
from ._steps import cancelled_at
from ._stopping import stopped_short

MOST = 400
"""Steps after which something counts as endless."""


class CancelTests(Benched):
    """A plan may be aborted anywhere: what is cancelled leaves nothing behind that the next request could take."""

    def test_a_cancelled_reading_leaves_nothing_behind(self, shared_bench: Bench) -> None:
        """Every kind of signal, at every step: afterwards all of them have their own values."""
        bench = shared_bench
        signals = bench.readable

        async def cancel_readings() -> None:
            steady = await bench.steady()
            for path in one_of_each_kind(signals):
                reading = partial(_get, signals[path])
                await _at_every_step(bench, reading, path, f"reading {path}", steady)
            await bench.check_values(steady, "each reading was cancelled at each of its steps")

        bench.run(cancel_readings())

    def test_a_cancelled_setting_leaves_nothing_behind(self, shared_bench: Bench) -> None:
        """The value that it has is written again: it stays, whatever became of the write."""
        bench = shared_bench
        found = {s.path: s.signal for s in settings(bench.device) if s.path not in self.skip}
        if not found:
            pytest.skip("it has no settings")

        async def cancel_settings() -> None:
            steady = await bench.steady()
            for path in one_of_each_kind(found):
                writing = partial(_set, found[path], await found[path].get_value(cached=False))
                await _at_every_step(bench, writing, path, f"setting {path}", steady)
            await bench.check_values(steady, "each setting was cancelled at each of its steps")

        bench.run(cancel_settings())

    def test_a_cancelled_trigger_leaves_nothing_behind(self, shared_bench: Bench) -> None:
        """The next reading is whole."""
        bench = shared_bench
        device: Any = bench.device
        if not isinstance(device, Triggerable):
            pytest.skip("it has no trigger")

        async def cancel_triggers() -> None:
            steady = await bench.steady()
            await _at_every_step(bench, partial(_trigger, device), "", "a trigger", steady, late=(False,))
            await bench.check_values(steady, "a trigger was cancelled at each of its steps")
            await _trigger(device)

        bench.run(cancel_triggers())

    def test_a_cancelled_move_stops(self, bench: Bench, kind_of_motion: Motion) -> None:
        """Wherever it is cancelled: what moves comes to rest, and the next move arrives."""
        motion = kind_of_motion
        part = bench.part(motion.part)

        async def cancel_moves() -> None:
            start = (await part.locate())["readback"] if hasattr(part, "locate") else 0.0
            targets = cycle((motion.near, start))
            for number in range(1, MOST):
                target = next(targets)
                reached = await cancelled_at(number, partial(_set, part, target), late=False)
                await bench.until_still(motion, f"after its move was cancelled at step {number}")
                if not reached:
                    break
            else:
                pytest.fail(f"a move to {motion.near} did not end within {MOST} steps")
            await self._cancel_on_the_way(bench, motion)

        bench.run(cancel_moves())

    @staticmethod
    async def _cancel_on_the_way(bench: Bench, motion: Motion) -> None:
        part = bench.part(motion.part)
        status = part.set(motion.far)
        await bench.until_active(motion)
        status.task.cancel()
        await stopped_short(bench, motion, "after its move was cancelled: stop it when its task is cancelled")
        await part.set(motion.near)


async def _at_every_step(
    bench: Bench,
    make: Callable[[], Coroutine[Any, Any, None]],
    path: str,
    what: str,
    steady: dict[str, Any],
    late: tuple[bool, ...] = (False, True),
) -> None:
    for after in late:
        for number in range(1, MOST):
            reached = await cancelled_at(number, make, late=after)
            await bench.check_others(steady, path, f"{what} was cancelled at step {number}")
            if not reached:
                break
        else:
            pytest.fail(f"{what} did not end within {MOST} steps")


async def _get(signal: Any) -> None:
    await signal.get_value(cached=False)


async def _set(device: Any, value: Any) -> None:
    await device.set(value)


async def _trigger(device: Any) -> None:
    await device.trigger()
