"""Messages read ahead: in order, no more than were granted, and an end that everybody gets."""

from __future__ import annotations

import queue
import threading
from functools import partial

import pytest
from comes import Hearing, said, split

from rdaq_ophyd.client._ahead import Ahead
from rdaq_ophyd.client._window import Window
from rdaq_ophyd.errors import LimitError, ServerGone


class Server:
    """Sends a message for each credit."""

    def __init__(self, messages, error=None):
        self._credits, self._messages, self._error = queue.SimpleQueue(), messages, error
        self.granted = self.sent = 0
        self.waits = threading.Event()

    def grant(self, number):
        self.granted += number
        for _ in range(number):
            self._credits.put(True)

    def close(self):
        self._credits.put(False)

    def __iter__(self):
        for message in self._messages:
            if self._credits.empty():
                self.waits.set()
            if not self._credits.get(timeout=20):
                return
            self.sent += 1
            yield message
        if self._error is not None:
            raise self._error


def opened(server, window):
    server.grant(window.grant(0.0))
    return Ahead(server, window, server.grant, split)


def test_all_messages_in_order_and_then_an_end():
    sent = [b"%d" % number for number in range(500)]
    server = Server(sent)
    ahead = opened(server, Window())
    assert [said(each) for each in iter(ahead.next, None)] == sent
    assert ahead.next() is None  # again, for whoever asks again
    ahead.join()


@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_reader_that_stalls_has_no_more_than_its_window(size):
    server = Server([b"x"] * 100)
    ahead = opened(server, Window(size))
    assert said(ahead.next()) == b"x"
    assert server.waits.wait(20)
    assert server.sent <= size + 1
    server.close()
    ahead.join()


def test_what_came_together_is_handed_out_one_by_one_and_counts_so():
    server, window = Server([b"a+b+c", b"d", b"e+f"]), Window(8)
    ahead = opened(server, window)
    ahead._thread.join(20)
    assert (window.ready, window.coming) == (6, 2)
    assert [said(each) for each in iter(ahead.next, None)] == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert window.ready == 0
    assert server.granted == 8 + 6  # two at once


def test_the_window_hears_how_large_a_frame_is_and_how_long_its_credit_lay():
    server = Server([b"abc+d"])
    server.grant(2)
    ahead = Ahead(server, window := Hearing(2), server.grant, partial(split, waited=0.25))
    ahead.join()
    assert window.heard == [(3, 0.25), (1, 0.25)]


def test_a_message_that_cannot_be_taken_apart_ends_it_where_it_is_read():
    def refuse(message):
        raise LimitError(f"{message!r} is no frame")

    server = Server([b"x"])
    server.grant(1)
    ahead = Ahead(server, Window(), server.grant, refuse)
    with pytest.raises(LimitError, match="b'x' is no frame"):
        ahead.next()
    ahead.join()


def test_what_broke_the_stream_is_raised_after_what_came():
    server = Server([b"a", b"b"], ServerGone("gone"))
    ahead = opened(server, Window(4))
    assert [said(ahead.next()), said(ahead.next())] == [b"a", b"b"]
    for _ in range(2):
        with pytest.raises(ServerGone):
            ahead.next()
    ahead.join()


def test_the_next_one_is_granted_before_the_last_is_drawn():
    server = Server([b"x"] * 3)
    ahead = opened(server, Window())
    ahead.next()
    assert server.granted == 2
    server.close()
    ahead.join()
