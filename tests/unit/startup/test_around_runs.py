"""Messages around those that open and close a run, against ``yield from`` and bluesky's own plan mutator."""

import asyncio

import pytest
from bluesky import Msg
from bluesky.preprocessors import plan_mutator
from bluesky.utils import single_gen

from rdaq_ophyd.startup._around_runs import around_runs


def before(msg):
    yield Msg("before", None, msg.command)
    return (yield msg)


def after(msg):
    answer = yield msg
    yield Msg("after", None, msg.command)
    return answer


def two_runs():
    """What its messages were answered, and what was thrown into it."""
    told = []
    for command in ("stage", "open_run", "open_run", "read", "close_run", "close_run", "unstage"):
        try:
            told.append((yield Msg(command)))
        except Exception as error:  # noqa: BLE001  whatever is thrown
            told.append(repr(error))
    return told


def driven(plan, throw=()):
    """All messages of a plan, and what it returns; each is answered by its number, those in ``throw`` by an error."""
    messages, step = [], plan.send
    answer = None
    try:
        while True:
            msg = step(answer)
            number = len(messages)
            messages.append((msg.command, *msg.args))
            step, answer = (plan.throw, ValueError(number)) if number in throw else (plan.send, number)
    except StopIteration as end:
        return messages, end.value


def by_bluesky(plan):
    """The same insertions."""

    def insert(msg):
        if msg.command == "open_run":
            return None, single_gen(Msg("after", None, msg.command))
        return (before(msg) if msg.command == "close_run" else None), None

    return plan_mutator(plan, insert)


def test_a_plan_gets_the_answers_to_its_own_messages():
    messages, told = driven(around_runs(two_runs(), opened=after, closed=before))
    assert messages == [
        ("stage",), ("open_run",), ("after", "open_run"), ("open_run",), ("after", "open_run"), ("read",),
        ("before", "close_run"), ("close_run",), ("before", "close_run"), ("close_run",), ("unstage",),
    ]  # fmt: skip
    assert told == [0, 1, 3, 5, 7, 9, 10]


@pytest.mark.parametrize("throw", [(), (0,), (5,), (10,)])
def test_it_does_as_bluesky_does(throw):
    assert driven(around_runs(two_runs(), opened=after, closed=before), throw) == driven(by_bluesky(two_runs()), throw)


@pytest.mark.parametrize("number", range(11))
def test_what_is_thrown_anywhere_is_raised_at_the_plans_own_message(number):
    messages, told = driven(around_runs(two_runs(), opened=after, closed=before), throw={number})
    assert f"ValueError({number})" in told
    assert len(told) == 7
    assert messages[-1] == ("unstage",)


def test_without_insertions_it_is_the_plan_itself():
    assert driven(around_runs(two_runs())) == driven(two_runs())
    assert driven(around_runs(two_runs()), throw={1, 3}) == driven(two_runs(), throw={1, 3})


def test_a_plan_that_is_closed_cleans_up():
    log = []

    def plan():
        try:
            yield Msg("open_run")
        except GeneratorExit:
            log.append("closed")
            raise

    for stop_at in (1, 2):
        wrapped = around_runs(plan(), opened=after)
        for _ in range(stop_at):
            wrapped.send(None)
        wrapped.close()
    assert log == ["closed", "closed"]


def test_an_interruption_reaches_the_plan():
    def plan():
        try:
            yield Msg("sleep")
        except asyncio.CancelledError:
            yield Msg("clean up")

    wrapped = around_runs(plan())
    wrapped.send(None)
    assert wrapped.throw(asyncio.CancelledError()).command == "clean up"


def test_what_a_plan_raises_is_raised():
    def plan():
        yield Msg("open_run")
        raise KeyError("of the plan")

    wrapped = around_runs(plan(), opened=after)
    for _ in range(2):
        wrapped.send(None)
    with pytest.raises(KeyError, match="of the plan"):
        wrapped.send(None)
