"""Settings: what is written is read back, and what may not be written is refused before a byte of it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import Phase, given
from hypothesis import settings as options

from rdaq_ophyd.errors import LimitError

from ._bench import Bench
from ._benched import Benched
from ._hints import Motion
from ._loops import BOUND, PAUSE, until
from ._members import Setting, one_of_each_kind, settings, takers_of_text
from ._values import NOT_FINITE, SECOND, more_than_one, outside, same, strategy

EXAMPLES = 8
"""Values tried out for one setting."""
FEW = 2
"""The same for one that other axes or channels have alike."""


class SettingTests(Benched):
    """One test for each signal that can be written, and for each thing that moves."""

    def test_a_setting_reads_back(self, shared_bench: Bench, setting: str) -> None:
        """Whatever allowed value is written: it is read back, and no other setting is changed by it."""
        with _restored(shared_bench, setting) as (found, before):
            known = self.values.get(setting)
            chosen = strategy(found, before, found.backend.limits) if known is None else known

            alike = setting not in one_of_each_kind({s.path: s.signal for s in settings(shared_bench.device)})

            @options(
                max_examples=FEW if alike else EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
            )
            @given(chosen)
            def written_and_read(value: Any) -> None:
                read = shared_bench.run(self._write(found, value))
                assert same(found, read, value), (
                    f"{setting}: {value!r} was written, {read!r} is read back; do the two texts of its Ask belong "
                    f"together? An instrument that takes its time needs `settle`, or `lag` in the suite"
                )

            written_and_read()

    def test_limits_are_kept(self, shared_bench: Bench, number: str) -> None:
        """The limits themselves are accepted; what is beyond is refused before it is sent."""
        with _restored(shared_bench, number) as (found, _):
            limits = found.backend.limits
            if limits is None:
                pytest.skip(f"{number} has no limits")
            for value in limits if number not in self.values else ():
                shared_bench.run(self._write(found, int(value) if found.backend.datatype is int else float(value)))
            for value in outside(found, limits):
                _refused(shared_bench, found, value, f"it is outside {limits}")

    def test_what_is_no_number_is_refused(self, shared_bench: Bench, kind_of_number: str) -> None:
        """NaN and infinities, before they are sent."""
        found = _find(shared_bench, kind_of_number)
        for value in NOT_FINITE:
            _refused(shared_bench, found, value, "it is not a finite number")

    def test_a_text_stays_one_command(self, shared_bench: Bench, text: str) -> None:
        """A text with a line end or a separator is refused: what follows it would be a command that nobody checks."""
        found = _find(shared_bench, text)
        for value in more_than_one(found.owner.protocol):
            _refused(shared_bench, found, value, "it would be more than one command")

    def test_arguments_stay_one_command(self, shared_bench: Bench) -> None:
        """The same for the arguments of commands."""
        bench = shared_bench
        takers = takers_of_text(bench.device)
        if not takers:
            pytest.skip("it has no commands that take a text")
        for path, (command, types) in takers.items():
            for value in more_than_one(bench.device.protocol):
                mark = bench.wire.mark()
                with suppress(Exception):  # what was sent tells
                    bench.run(_execute(command, [value if kind is str else kind(1) for kind in types]))
                bench.run(bench.sync())
                sent = bench.wire.since(mark).decode("latin-1")
                assert SECOND not in sent, (
                    f"{path}: {value!r} was sent as {sent!r}, more than one command; refuse it with a LimitError"
                )

    def test_targets_that_are_no_numbers_are_refused(self, shared_bench: Bench, motion: Motion) -> None:
        """Nothing moves to NaN, or to infinity."""
        bench, part = shared_bench, shared_bench.part(motion.part)
        for target in NOT_FINITE:
            mark = bench.wire.mark()
            error = bench.run(_outcome(bench, part, target, mark))
            bench.run(bench.sync())
            sent = bench.wire.hazards(mark)
            assert not sent, (
                f"{motion.title}: set({target}) sent {sent}; refuse it with a LimitError before anything is sent"
            )
            assert isinstance(error, LimitError), (
                f"{motion.title}: set({target}) ended with {error!r}; refuse it with a LimitError"
            )

    async def _write(self, found: Setting, value: Any) -> Any:
        await found.signal.set(value)
        end = asyncio.get_running_loop().time() + self.lag
        while True:
            read = await found.signal.get_value(cached=False)
            if same(found, read, value) or asyncio.get_running_loop().time() > end:
                return read
            await asyncio.sleep(PAUSE)


async def _outcome(bench: Bench, part: Any, target: float, mark: int) -> BaseException | None:
    """What a move ends with; one that is sent is not awaited, since it may never end."""
    try:
        status = part.set(target)
    except Exception as error:  # noqa: BLE001 (judged by the caller)
        return error
    await until(lambda: status.done or bool(bench.wire.hazards(mark)), f"set({target}) neither ended nor was sent")
    if not status.done:
        status.task.cancel()
        await asyncio.wait({status.task}, timeout=BOUND)
    failed: BaseException | None = status.exception()
    return failed


def _find(bench: Bench, path: str) -> Setting:
    return next(setting for setting in settings(bench.device) if setting.path == path)


@contextmanager
def _restored(bench: Bench, path: str) -> Iterator[tuple[Setting, Any]]:
    """The setting and its value, which it has again afterwards."""
    found = _find(bench, path)
    before = bench.run(found.signal.get_value(cached=False))
    yield found, before
    bench.run(_set(found, before))


async def _set(found: Setting, value: Any) -> None:
    await found.signal.set(value)


async def _execute(command: Any, values: list[Any]) -> None:
    await command.execute(*values)


def _refused(bench: Bench, found: Setting, value: Any, why: str) -> None:
    mark = bench.wire.mark()
    try:
        bench.run(_set(found, value))
    except LimitError:
        pass
    except Exception as error:  # noqa: BLE001 (the test fails with it)
        pytest.fail(f"{found.path}: {value!r} ended with {error!r}, not with a LimitError, although {why}")
    else:
        pytest.fail(f"{found.path}: {value!r} was accepted although {why}")
    bench.run(bench.sync())
    sent = bench.wire.writes(mark, found)
    assert not sent, f"{found.path}: {value!r} was refused, but {sent} had been sent already"
