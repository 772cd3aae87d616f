"""A stop of everything: what is dangerous ends, is confirmed, and stays refused until the reset."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rdaq_ophyd import stop
from rdaq_ophyd.errors import RdaqError, StopLatched

from ._bench import Bench
from ._benched import Benched
from ._hints import Emission, Motion
from ._loops import BOUND, until
from ._members import Order, Setting, orders, safe_states, settings
from ._reconnecting import _begin, _switched_on
from ._stopping import stopped_short


class LatchTests(Benched):
    """``stop_all``, the latch, and its reset."""

    def test_stop_all_ends_a_move(self, bench: Bench, motion: Motion) -> None:
        """It is confirmed by the instrument itself, and the move fails."""
        status = bench.run(_begin(bench, bench.part(motion.part), motion))
        _confirmed(bench, _stop_all())
        bench.run(stopped_short(bench, motion, "after a stop-all"))
        bench.run(_fails(status))

    def test_stop_all_ends_emission(self, bench: Bench, emission: Emission) -> None:
        """It is confirmed by the instrument itself."""
        bench.run(_switched_on(bench, emission))
        _confirmed(bench, _stop_all())
        assert not bench.active(emission), (
            f"{emission.title}: still emits after a confirmed stop-all; does `safe_states` ask the right thing?"
        )

    def test_what_is_not_safe_is_refused(self, bench: Bench) -> None:
        """Until the reset: no setting, no command and no move reaches the instrument; questions do."""
        values = bench.run(_setting_values(bench))
        bench.run(bench.sync())
        mark = bench.wire.mark()
        _stop_all()
        for setting in settings(bench.device):
            value = values[setting.path]
            if setting.is_safe(value) is False:
                _refused(bench, _set(setting.signal, value), f"{setting.path} = {value!r}")
        for order in orders(bench.device):
            if order.plain and not (order.tell.safe or order.tell.preempt or order.answered):
                _refused(bench, _execute(order), f"the command {order.path}")
        for motion in self.motions:
            _refused(bench, _set(bench.part(motion.part), motion.near), f"a move of {motion.title}")
        for emission in self.emissions:
            _refused(bench, _set(bench.part(emission.part), emission.value), f"{emission.title} = {emission.value!r}")
        for signal in bench.readable.values():
            bench.run(signal.get_value(cached=False))
        sent = bench.wire.unsafe(mark)
        assert not sent, f"while everything was stopped, {sent} was sent"

    def test_what_is_safe_is_allowed(self, bench: Bench) -> None:
        """Stops, and settings and commands that are declared safe; nothing begins to move or emit by them."""
        _stop_all()
        for setting in settings(bench.device):
            for value in _safe_values(setting):
                bench.run(_set(setting.signal, value))
        for order in orders(bench.device):
            if order.plain and (order.tell.safe or order.tell.preempt):
                bench.run(_execute(order))
        if hasattr(bench.device, "stop"):
            bench.run(_stop(bench.device))
        bench.run(bench.sync())
        hints: list[Motion | Emission] = [*self.motions, *self.emissions]
        active = [hint.title for hint in hints if bench.active(hint)]
        assert not active, f"{active}: it moves or emits after commands that are declared safe"

    def test_a_reset_starts_nothing(self, bench: Bench) -> None:
        """Afterwards everything is accepted again, and nothing was sent by itself."""
        _confirmed(bench, _stop_all())
        bench.run(bench.sync())
        mark = bench.wire.mark()
        stop.reset("the suite looked at it")
        bench.run(bench.sync())
        sent = bench.wire.unsafe(mark)
        assert not sent, f"a reset sent {sent} by itself"
        for setting in settings(bench.device):
            if setting.path not in self.skip:
                bench.run(_set_again(setting.signal))
        for motion in self.motions:
            bench.run(_ready_and_set(self, bench, motion))


def _stop_all() -> stop.StopReport:
    """From a thread of its own, bounded."""
    reports: list[stop.StopReport] = []
    thread = threading.Thread(target=lambda: reports.append(stop.stop_all("a test of the suite")), daemon=True)
    thread.start()
    thread.join(3 * BOUND)
    if not reports:
        pytest.fail("stop_all did not return: does `safe_states` or `note_stop` block or raise?")
    return reports[0]


def _confirmed(bench: Bench, report: stop.StopReport) -> None:
    assert not report.unconfirmed, (
        f"not confirmed: {[str(verdict) for verdict in report.unconfirmed]}; does the reply to the question in "
        f"`safe_states` match `safe`?"
    )
    told = {verdict.device for verdict in report.verdicts}
    missing = {state.device for state in safe_states(bench.device)} - told
    assert not missing, f"no verdict for {missing}"


async def _setting_values(bench: Bench) -> dict[str, Any]:
    return {setting.path: await setting.signal.get_value(cached=False) for setting in settings(bench.device)}


def _safe_values(setting: Setting) -> list[Any]:
    return [] if setting.ask is None or isinstance(setting.ask.safe, bool) else list(setting.ask.safe)


def _refused(bench: Bench, work: Any, what: str) -> None:
    try:
        bench.run(work)
    except StopLatched:
        return
    except RdaqError as error:
        pytest.fail(f"{what} ended with {error!r} while everything was stopped; expected StopLatched")
    pytest.fail(f"{what} was accepted while everything was stopped; is it declared safe by mistake?")


async def _set(device: Any, value: Any) -> None:
    await device.set(value)


async def _execute(order: Order) -> None:
    await order.command.execute()


async def _set_again(signal: Any) -> None:
    await signal.set(await signal.get_value(cached=False))


async def _ready_and_set(suite: Any, bench: Bench, motion: Motion) -> None:
    await suite.prepare(bench.device)  # what stop-all took away, such as the power of a motor
    await bench.part(motion.part).set(motion.near)


async def _stop(device: Any) -> None:
    await device.stop(success=False)


async def _fails(status: Any) -> None:
    await until(lambda: status.done, "a move never ended after a stop-all")
    status.exception()
