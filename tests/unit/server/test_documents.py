"""Documents to listeners: all of them, in order; who falls too far behind is told so, and holds nobody up."""

import asyncio

import pytest

from rdaq_ophyd.document_lines import decode
from rdaq_ophyd.errors import FellBehind
from rdaq_ophyd.server import _documents
from rdaq_ophyd.server._documents import Documents


async def test_each_listener_gets_every_document_in_order():
    hub = Documents(asyncio.get_running_loop())
    hub("start", {"uid": "before"})
    await asyncio.sleep(0)
    with hub.listening() as one, hub.listening() as other:
        for number in range(100):
            await asyncio.to_thread(hub, "event", {"seq_num": number, "data": {"x": float("nan")}})
        for listener in (one, other):
            got = [decode((await anext(listener)).line) for _ in range(100)]
            assert [document["seq_num"] for _, document in got] == list(range(100))
            assert got[0][1]["data"]["x"] != got[0][1]["data"]["x"]  # NaN is no null
    assert not hub._listeners


async def test_one_that_falls_behind_ends_alone(monkeypatch):
    monkeypatch.setattr(_documents, "ROOM", 10_000)
    hub = Documents(asyncio.get_running_loop())
    with hub.listening() as slow, hub.listening() as quick:
        for number in range(800):
            hub("event", {"seq_num": number})
            await asyncio.sleep(0)
            assert decode((await anext(quick)).line)[1]["seq_num"] == number
        with pytest.raises(FellBehind, match="the catalog has all of them"):
            await anext(slow)
