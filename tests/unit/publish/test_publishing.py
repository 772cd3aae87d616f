"""The bounded way to a publisher: order, bounds, and exact counts, with a wire that does as it is told."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxied import wait_for

from rdaq_ophyd.publish import Publishing, _publishing


class Wire:
    """Takes what it may; ``gate`` holds it back."""

    def __init__(self, *, listens=True):
        self.listens, self.takes, self.taken, self.gate, self.late = listens, True, [], threading.Event(), 0
        self.gate.set()
        self.closed = False

    def ready(self):
        return self.listens

    def send(self, name, document):
        self.gate.wait(10)
        if self.takes == "fails":
            raise TypeError("no word for it")
        if self.takes:
            self.taken.append((name, document))
        return bool(self.takes)

    def lost(self):
        lost, self.late = self.late, 0
        return lost

    def close(self, seconds):
        self.closed = True


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def publishing(wire):
    made = Publishing("them", lambda: wire)
    yield made
    wire.gate.set()
    made.close()
    assert wire.closed


def settled(publishing, number):
    wait_for(lambda: sum(vars(publishing.counts).values()) >= number)
    return publishing.counts.published, publishing.counts.missed


def test_documents_go_in_order(publishing, wire):
    for number in range(100):
        publishing("event", {"seq_num": number})
    assert settled(publishing, 100) == (100, 0)
    assert [document["seq_num"] for _, document in wire.taken] == list(range(100))


def test_a_wire_that_stands_still_holds_nobody_back_and_fills_no_memory(publishing, wire, monkeypatch, caplog):
    monkeypatch.setattr(_publishing, "MOST_WAITING", 10)
    wire.gate.clear()
    publishing("start", {})
    wait_for(lambda: not publishing._waiting)  # the thread has it
    begun = time.perf_counter()
    for _ in range(1000):
        publishing("event", {})
    assert time.perf_counter() - begun < 1.0
    assert publishing.counts.missed == 990
    wire.gate.set()
    assert settled(publishing, 1001) == (11, 990)
    wait_for(lambda: "990 documents were left out" in caplog.text)
    assert len(caplog.records) <= 2  # at its begin and at its end


def test_arrays_are_bounded_by_their_bytes(publishing, wire, monkeypatch):
    monkeypatch.setattr(_publishing, "MOST_BYTES", 1000)
    wire.gate.clear()
    publishing("start", {})
    wait_for(lambda: not publishing._waiting)
    for _ in range(5):
        publishing("event", {"data": {"cam": np.zeros(400, np.uint8), "x": 1.0}})
    assert publishing.counts.missed == 3
    wire.gate.set()
    assert settled(publishing, 6) == (3, 3)
    publishing("event", {"data": {"cam": np.zeros(4000, np.uint8)}})  # one that alone is more goes all the same
    assert settled(publishing, 7) == (4, 3)


def test_while_nobody_listens_documents_are_left_out_and_it_is_said(publishing, wire, monkeypatch, caplog):
    wire.listens = False
    monkeypatch.setattr(_publishing, "OPENS", 0.0)
    again = Publishing("nobody", lambda: wire)
    for _ in range(3):
        again("event", {})
    assert settled(again, 3) == (0, 3)
    wait_for(lambda: "nobody does not take documents" in caplog.text)
    wire.listens = True
    again("event", {})
    assert settled(again, 4) == (1, 3)
    wait_for(lambda: "nobody: 3 documents were left out; they are in the catalog" in caplog.text)
    again.close()


def test_at_the_start_they_wait_for_somebody(publishing, wire):
    wire.listens = False
    publishing("start", {})
    threading.Timer(0.1, lambda: setattr(wire, "listens", True)).start()
    assert settled(publishing, 1) == (1, 0)


def test_what_turns_out_not_to_have_arrived_is_counted(publishing, wire, caplog):
    publishing("start", {})
    publishing("event", {})
    assert settled(publishing, 2) == (2, 0)
    wire.late = 2
    wait_for(lambda: publishing.counts.missed == 2)
    assert publishing.counts.published == 0
    wait_for(lambda: "2 documents were left out" in caplog.text)


def test_a_document_that_cannot_be_written_is_told_and_the_next_goes(publishing, wire, caplog):
    wire.takes = "fails"
    publishing("event", {})
    assert settled(publishing, 1) == (0, 1)
    wire.takes = True
    publishing("event", {})
    assert settled(publishing, 2) == (1, 1)
    assert "document event cannot be published to them" in caplog.text


def test_a_wire_that_cannot_be_opened_ends_no_scan(caplog):
    def broken():
        raise OSError("no such key")

    made = Publishing("them", broken)
    wait_for(lambda: made._closing)
    made("start", {})
    assert made.counts.missed == 1
    made.close()
    assert "documents are not published to them" in caplog.text


def test_the_end_is_bounded_and_says_what_is_missing(caplog, monkeypatch):
    monkeypatch.setattr(_publishing, "DRAINS", 0.2)
    wire = Wire()
    made = Publishing("them", lambda: wire)
    wire.takes = False
    for _ in range(5):
        made("event", {})
    made.close()
    made.close()
    assert made.counts == _publishing.Counts(0, 5)
    assert "until the end" in caplog.text or "left out" in caplog.text


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["doc", "deaf", "hears", "full", "free"]), max_size=40))
def test_every_document_is_published_or_missed(events):
    wire = Wire()
    made = Publishing("them", lambda: wire)
    number = 0
    for event in events:
        match event:
            case "doc":
                made("event", {"seq_num": number})
                number += 1
            case "deaf" | "hears":
                wire.listens = event == "hears"
            case _:
                wire.takes = event == "free"
    made.close()
    assert made.counts.published + made.counts.missed == number
    assert made.counts.published == len(wire.taken)
    assert [document["seq_num"] for _, document in wire.taken] == sorted(
        document["seq_num"] for _, document in wire.taken
    )
