import pytest

from rdaq_ophyd.errors import LinkClosed, QueueFull
from rdaq_ophyd.link import Lane, Line
from rdaq_ophyd.link._queue import LaneQueue
from rdaq_ophyd.link._transaction import Transaction


def ask(text: bytes, lane: Lane = Lane.NORMAL, *, reply: bool = True) -> Transaction:
    return Transaction(text, Line() if reply else None, lane, 1.0)


def test_lanes_are_served_by_priority_and_each_in_order():
    queue = LaneQueue("port", 10)
    for text, lane in ((b"p", Lane.POLL), (b"n1", Lane.NORMAL), (b"u", Lane.URGENT), (b"n2", Lane.NORMAL)):
        queue.put(ask(text, lane))
    assert len(queue) == 4
    assert [queue.get().command for _ in range(4)] == [b"u", b"n1", b"n2", b"p"]


def test_a_full_lane_refuses_but_the_others_do_not():
    queue = LaneQueue("port", 2)
    queue.put(ask(b"1"))
    queue.put(ask(b"2"))
    with pytest.raises(QueueFull, match="NORMAL"):
        queue.put(ask(b"3"))
    queue.put(ask(b"stop", Lane.URGENT))
    assert queue.get().command == b"stop"


def test_cancelled_exchanges_make_room():
    queue = LaneQueue("port", 2)
    first, second = ask(b"1"), ask(b"2")
    queue.put(first)
    queue.put(second)
    first.future.cancel()
    queue.put(ask(b"3"))
    # The token of the dropped exchange must not make `get` return nothing.
    assert [queue.get().command, queue.get().command] == [b"2", b"3"]
    queue.put(ask(b"4"))
    assert queue.get().command == b"4"


def test_only_an_urgent_exchange_without_reply_is_taken_out_of_turn():
    queue = LaneQueue("port", 5)
    queue.put(ask(b"question", Lane.URGENT))
    assert queue.take_urgent_without_reply() is None
    queue.get()
    queue.put(ask(b"stop", Lane.URGENT, reply=False))
    queue.put(ask(b"next"))
    assert queue.take_urgent_without_reply().command == b"stop"
    assert queue.take_urgent_without_reply() is None
    assert queue.get().command == b"next"


def test_closing_hands_back_what_waits_and_ends_the_reader():
    queue = LaneQueue("port", 5)
    queue.put(ask(b"1"))
    assert [t.command for t in queue.close()] == [b"1"]
    assert queue.get() is None
    with pytest.raises(LinkClosed, match="port"):
        queue.put(ask(b"2"))
