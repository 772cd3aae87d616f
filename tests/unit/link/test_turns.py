"""Devices that share a link take turns; identical questions that wait share one answer."""

import pytest

from rdaq_ophyd.errors import BadReply, QueueFull
from rdaq_ophyd.link import Lane, Line
from rdaq_ophyd.link._queue import LaneQueue
from rdaq_ophyd.link._transaction import Transaction


@pytest.fixture
def queue() -> LaneQueue:
    return LaneQueue("port", 1024)


def ask(
    text: bytes, who: str | None = None, lane: Lane = Lane.NORMAL, *, share: bool = False, timeout: float = 1.0
) -> Transaction:
    return Transaction(text, Line(), lane, timeout, True, who, share)


def put(queue: LaneQueue, *transactions: Transaction) -> list:
    """Their futures, as they were before the queue made somebody else answer them."""
    futures = [transaction.future for transaction in transactions]
    for transaction in transactions:
        queue.put(transaction)
    return futures


def served(queue: LaneQueue) -> list[bytes]:
    """Answers all that waits, each with its own command."""
    done = []
    while len(queue):
        transaction = queue._next()
        if transaction is not None and transaction.begin():
            transaction.answer(transaction.command)
            done.append(transaction.command)
    return done


def test_a_device_that_queues_a_thousand_delays_another_by_one(queue: LaneQueue):
    put(queue, *(ask(b"greedy", "x") for _ in range(1000)), ask(b"single", "y"), ask(b"other", "z"))
    assert served(queue)[:4] == [b"greedy", b"single", b"other", b"greedy"]


def test_each_device_keeps_its_order(queue: LaneQueue):
    put(queue, *(ask(b"x%d" % i, "x") for i in range(3)), *(ask(b"y%d" % i, "y") for i in range(3)))
    assert served(queue) == [b"x0", b"y0", b"x1", b"y1", b"x2", b"y2"]


def test_one_that_was_cancelled_costs_no_turn(queue: LaneQueue):
    first, *_ = put(queue, ask(b"x0", "x"), ask(b"x1", "x"), ask(b"y0", "y"))
    first.cancel()
    assert served(queue) == [b"x1", b"y0"]


def test_a_halt_is_found_behind_another_devices_question(queue: LaneQueue):
    put(queue, ask(b"question", "x", Lane.URGENT), Transaction(b"halt", None, Lane.URGENT, 1.0, True, "y"))
    assert queue.take_urgent_without_reply().command == b"halt"
    assert queue.take_urgent_without_reply() is None
    assert served(queue) == [b"question"]


def test_a_full_lane_names_who_fills_it():
    queue = LaneQueue("port", 3)
    put(queue, ask(b"1", "stage at 1"), ask(b"2", "stage at 2"), ask(b"3", "stage at 2"))
    with pytest.raises(QueueFull, match="port: 3 exchanges already wait in lane NORMAL, 2 of them from stage at 2"):
        queue.put(ask(b"4", "stage at 3"))
    queue = LaneQueue("port", 1)
    queue.put(ask(b"1"))
    with pytest.raises(QueueFull, match="1 of them from somebody without a name"):
        queue.put(ask(b"2"))


def test_an_identical_question_that_waits_is_asked_once(queue: LaneQueue):
    futures = put(queue, *(ask(b"TP?", who, share=True) for who in "xyz"))
    assert served(queue) == [b"TP?"]
    assert [future.result(0) for future in futures] == [b"TP?"] * 3
    assert queue.coalesced == 2


def test_only_identical_questions_that_allow_it_are_shared(queue: LaneQueue):
    put(queue, ask(b"A", share=True), ask(b"A"), ask(b"B", share=True), ask(b"A", share=True, timeout=9.0))
    assert served(queue) == [b"A", b"A", b"B", b"A"]


def test_a_question_that_was_sent_is_not_shared(queue: LaneQueue):
    put(queue, ask(b"A", share=True))
    sent = queue.get()
    (late,) = put(queue, ask(b"A", share=True))
    assert sent.begin()
    sent.answer(b"old")
    assert not late.done()
    assert served(queue) == [b"A"]


def test_sharing_delays_nobody(queue: LaneQueue):
    put(queue, *(ask(b"y%d" % i, "y") for i in range(5)), ask(b"A", "y", share=True))
    x, z = put(queue, ask(b"A", "x", share=True), ask(b"A", "z", Lane.POLL, share=True))
    assert served(queue) == [b"y0", b"A", b"y1", b"y2", b"y3", b"y4"]
    assert x.done()
    assert z.done()
    assert queue.coalesced == 2


def test_many_identical_questions_of_one_device_take_one_place():
    queue = LaneQueue("port", 1)
    put(queue, *(ask(b"A", "x", share=True) for _ in range(100)))
    assert len(queue) == 1
    assert queue.coalesced == 99


def test_cancelling_one_does_not_cancel_the_others(queue: LaneQueue):
    one, two = put(queue, ask(b"A", share=True), ask(b"A", share=True))
    one.cancel()
    assert served(queue) == [b"A"]
    assert two.result(0) == b"A"


def test_when_all_are_cancelled_it_is_not_sent_and_nobody_joins_it(queue: LaneQueue):
    for future in put(queue, ask(b"A", share=True), ask(b"A", share=True)):
        future.cancel()
    assert served(queue) == []
    (next_one,) = put(queue, ask(b"A", share=True))
    assert served(queue) == [b"A"]
    assert next_one.result(0) == b"A"


def test_one_that_made_room_is_not_joined():
    queue = LaneQueue("port", 1)
    (cancelled,) = put(queue, ask(b"A", share=True))
    cancelled.cancel()
    put(queue, ask(b"B"))
    served(queue)
    (asked,) = put(queue, ask(b"A", share=True))
    assert served(queue) == [b"A"]
    assert asked.result(0) == b"A"


def test_a_more_urgent_one_answers_those_that_wait_for_the_same(queue: LaneQueue):
    futures = put(queue, ask(b"A", lane=Lane.POLL, share=True), ask(b"B"), ask(b"A", lane=Lane.URGENT, share=True))
    assert served(queue) == [b"A", b"B"]
    assert all(future.done() for future in futures)


def test_a_less_urgent_one_joins(queue: LaneQueue):
    put(queue, ask(b"B"), ask(b"A", share=True), ask(b"A", lane=Lane.POLL, share=True))
    assert served(queue) == [b"B", b"A"]


def test_a_failure_is_everybodys_own(queue: LaneQueue):
    one, two = put(queue, ask(b"A", share=True), ask(b"A", share=True))
    transaction = queue.get()
    assert transaction.begin()
    transaction.fail(BadReply("nonsense", hint="look"))
    assert one.exception(0) is not two.exception(0)
    assert str(one.exception(0)) == str(two.exception(0)) == "nonsense → look"


def test_closing_hands_back_those_who_share(queue: LaneQueue):
    futures = put(queue, ask(b"A", share=True), ask(b"A", share=True), ask(b"B", "x"))
    left = queue.close()
    assert [transaction.command for transaction in left] == [b"A", b"B"]
    assert len(left[0].waiters) == 2
    assert not any(future.done() for future in futures)
    assert len(queue) == 0
