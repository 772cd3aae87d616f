"""Credits for frames at the server: as many as a client may ask for, and since when each lies there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from rdaq_ophyd.client._window import MOST
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.server import _frames
from rdaq_ophyd.server._frames import _Credits
from rdaq_ophyd.wire import messages

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=0.0, time=lambda: 0.0)
    made.monotonic = lambda: made.now
    monkeypatch.setattr(_frames, "time", made)
    return made


async def nothing():
    """A client that grants no more, and does not leave."""
    await asyncio.Event().wait()
    yield messages.FrameCredit()


def test_a_server_grants_as_many_as_a_reader_may_ask_for():
    granted = _Credits()
    granted.add(MOST)
    with pytest.raises(LimitError, match=f"{MOST + 1} frames granted at once"):
        granted.add(1)


async def test_each_is_used_in_its_turn_and_lies_there_since_it_came(clock):
    granted = _Credits()
    reader = asyncio.create_task(granted.read(nothing()))
    for clock.now, number in ((1.0, 2), (2.0, 0), (3.0, 1)):
        granted.add(number)
    clock.now = 10.0
    assert [await granted.one(reader) for _ in range(3)] == [1.0, 1.0, 3.0]
    reader.cancel()


async def test_one_that_was_waited_for_lay_nowhere(clock):
    """However long it takes until whoever waited for it has its turn."""
    granted = _Credits()
    reader = asyncio.create_task(granted.read(nothing()))
    waiting = asyncio.create_task(granted.one(reader))
    await asyncio.sleep(0)
    clock.now = 1.0
    granted.add(2)
    clock.now = 4.0
    assert await waiting == 4.0
    assert await granted.one(reader) == 1.0
    reader.cancel()


async def test_no_more_come():
    async def few():
        yield messages.FrameCredit(credits=1)

    granted = _Credits()
    reader = asyncio.create_task(granted.read(few()))
    assert await granted.one(reader) is not None
    assert await granted.one(reader) is None
