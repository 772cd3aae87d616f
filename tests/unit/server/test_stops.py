"""Stops by clients: every one halts at once, and however many there are, devices are asked a few times."""

import asyncio
import threading

import pytest
from awaited import until

from rdaq_ophyd.server import _stops
from rdaq_ophyd.server._stops import AT_A_TIME, BURST, Stops
from rdaq_ophyd.stop import Outcome, StopReport, Verdict


class Bench:
    """What is halted, and asked until it may answer."""

    def __init__(self):
        self.halts, self.asked, self.may_answer = [], [], threading.Event()
        self.broken = False

    def halt_all(self, reason, *, by):
        self.halts.append(reason)
        return Halted(self, reason, by, float(len(self.halts)))


class Halted:
    def __init__(self, bench, reason, by, at):
        self.bench, self.reason, self.by, self.at = bench, reason, by, at

    def confirm(self):
        self.bench.asked.append(self.reason)
        assert self.bench.may_answer.wait(20)
        if self.bench.broken:
            raise OSError("no more threads")
        return StopReport(self.reason, self.by, self.at, (Verdict("x", Outcome.CONFIRMED),))


@pytest.fixture
def bench(monkeypatch):
    made = Bench()
    monkeypatch.setattr(_stops, "halt_all", made.halt_all)
    yield made
    made.may_answer.set()


@pytest.fixture
async def stops(bench):
    made = Stops()
    yield made
    bench.may_answer.set()
    made.close()


async def test_each_halts_at_once_and_gets_its_own_report(stops, bench):
    bench.may_answer.set()
    report = await stops.stop("smoke", "ada")
    assert (report.reason, report.by, report.at) == ("smoke", "ada", 1.0)
    assert [verdict.device for verdict in report.verdicts] == ["x"]
    assert bench.halts == bench.asked == ["smoke"]


async def test_a_flood_halts_each_time_and_asks_a_few_times(stops, bench):
    waiting = []
    for number in range(AT_A_TIME):
        waiting.append(asyncio.ensure_future(stops.stop(f"first {number}", "ada")))
        await until(lambda: len(bench.asked) == len(waiting))
    flood = [asyncio.ensure_future(stops.stop(f"more {number}", "eve")) for number in range(500)]
    await until(lambda: len(bench.halts) == AT_A_TIME + 500)
    assert len(bench.asked) == AT_A_TIME, "all of these wait for the next one"
    bench.may_answer.set()
    reports = await asyncio.gather(*waiting, *flood)
    assert len(bench.asked) == AT_A_TIME + 1
    assert bench.asked[-1] == "more 499", "asked about the last halt, which covers those before"
    assert [report.reason for report in reports] == bench.halts


async def test_they_are_asked_no_oftener_than_once_a_second_on_the_long_run(stops, bench, monkeypatch):
    bench.may_answer.set()
    for _ in range(BURST):
        await stops.stop("again", "eve")
    late = [asyncio.ensure_future(stops.stop("again", "eve")) for _ in range(50)]
    done, _ = await asyncio.wait(late, timeout=0.2)
    assert not done
    assert len(bench.halts) == BURST + 50, "the halts do not wait for that"
    await asyncio.gather(*late)
    assert len(bench.asked) == BURST + 1


async def test_one_who_leaves_takes_nobody_else_with_it(stops, bench):
    leaving, staying = (asyncio.ensure_future(stops.stop(name, name)) for name in ("leaves", "stays"))
    await until(lambda: bench.asked)
    leaving.cancel()
    bench.may_answer.set()
    assert (await staying).reason == "stays"


async def test_what_fails_is_told_to_all_and_the_next_is_asked_again(stops, bench):
    bench.broken = True
    bench.may_answer.set()
    told = await asyncio.gather(*(stops.stop("a", "ada") for _ in range(3)), return_exceptions=True)
    assert {type(error) for error in told} == {OSError}
    bench.broken = False
    assert (await stops.stop("b", "ada")).verdicts


async def test_other_work_of_stops_finds_a_thread_while_all_are_asked(stops, bench):
    waiting = []
    for _ in range(AT_A_TIME):
        waiting.append(asyncio.ensure_future(stops.stop("a", "ada")))
        await until(lambda: len(bench.asked) == len(waiting))
    async with asyncio.timeout(20):
        assert await stops.apart(lambda: 7) == 7
    bench.may_answer.set()
    await asyncio.gather(*waiting)
