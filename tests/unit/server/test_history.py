"""The last documents are kept within bounds; what is gone is counted, and an open run keeps what it needs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.document_lines import decode
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.server import _history
from rdaq_ophyd.server._documents import Documents
from rdaq_ophyd.server._history import HEADS, History
from rdaq_ophyd.wire import messages


def document(name, size=100):
    return messages.Document(name=name, line=b"x" * size)


def filled(*names, size=100):
    history = History()
    for name in names:
        history.add(document(name, size))
    return history


def positions(held):
    return [document.position for document in held.documents]


def test_what_came_behind_a_position():
    history = filled("start", "descriptor", "event", "event", "stop")
    assert positions(history.since(2)) == [3, 4, 5]
    assert history.since(2).lost == 0
    assert positions(history.since(5)) == []
    assert history.last == 5


def test_the_open_run_from_its_start():
    assert filled("start", "event", "stop").open_run() == ([], 3, 0)
    history = filled("start", "stop", "start", "descriptor", "event")
    held = history.open_run()
    assert (positions(held), held.position, held.lost) == ([3, 4, 5], 2, 0)


def test_runs_in_runs_are_given_from_the_outer_one():
    history = filled("start", "start", "event", "stop", "event")
    assert positions(history.open_run()) == [1, 2, 3, 4, 5]
    history.add(document("stop"))
    assert history.open_run().documents == []


def test_a_long_run_keeps_what_its_last_documents_need(monkeypatch):
    monkeypatch.setattr(_history, "ROOM", 1_000)
    history = filled("start", "descriptor", *["event"] * 50)
    held = history.open_run()
    assert [d.name for d in held.documents[:2]] == ["start", "descriptor"]
    assert held.lost == 52 - len(held.documents) == 40
    history.add(document("stop"))
    assert not history._heads


NAMES = st.lists(st.sampled_from(["start", "descriptor", "event", "stop"]), max_size=60)


@given(NAMES, st.integers(1, 40), st.integers(0, 70))
def test_nothing_is_given_twice_or_lost_uncounted(names, room, since):
    before, _history.ROOM = _history.ROOM, 100 * room
    try:
        history = filled(*names)
    finally:
        _history.ROOM = before
    since = min(since, history.last)
    held = history.since(since)
    assert positions(held) == list(range(since + held.lost + 1, history.last + 1))
    assert history._bytes == 100 * len(history._held) <= max(100 * room, 100)
    run = history.open_run()
    assert positions(run) == sorted(set(positions(run)))
    assert len(run.documents) + run.lost == history.last - run.position
    assert all(d.name in HEADS for d in history._heads)


async def test_listeners_go_on_where_they_were():
    hub = Documents(asyncio.get_running_loop(), "me")
    for number in range(1, 6):
        hub("start" if number == 1 else "event", {"uid": str(number)})
    await asyncio.sleep(0)

    async def given(wanted):
        with hub.going_on(wanted) as (held, documents):
            return held, [decode((await anext(documents)).line)[1]["uid"] for _ in held.documents]

    held, got = await given(messages.StreamDocumentsRequest(instance="me", since=3, open_run=True))
    assert (got, held.lost, held.position) == (["4", "5"], 0, 3)
    held, got = await given(messages.StreamDocumentsRequest(instance="another", since=3, open_run=True))
    assert (got, held.lost, held.position) == (["1", "2", "3", "4", "5"], 0, 0)
    held, got = await given(messages.StreamDocumentsRequest(instance="another", since=3))
    assert (got, held.position) == ([], 5)
    with pytest.raises(LimitError, match="position 6"):
        await given(messages.StreamDocumentsRequest(instance="me", since=6))
    assert not hub._listeners
