"""Messages read ahead on an event loop: in order, no more than were granted, an end for everybody, and no task left."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

import pytest
from comes import Hearing, said, split

from rdaq_ophyd.client._window import Window
from rdaq_ophyd.client.aio._ahead import AsyncAhead
from rdaq_ophyd.errors import LimitError, ServerGone

pytestmark = pytest.mark.timeout(20)


class Server:
    """Sends a message for each credit; ``waits`` is set while it has none."""

    def __init__(self, messages, error=None):
        self._credits, self._messages, self._error = asyncio.Queue(), messages, error
        self.granted = self.sent = 0
        self.waits, self.left = asyncio.Event(), asyncio.Event()

    async def grant(self, number):
        self.granted += number
        for _ in range(number):
            self._credits.put_nowait(True)

    async def __aiter__(self):
        try:
            for message in self._messages:
                if self._credits.empty():
                    self.waits.set()
                await self._credits.get()
                self.sent += 1
                yield message
            if self._error is not None:
                raise self._error
        finally:
            self.left.set()


async def opened(server, window):
    await server.grant(window.grant(0.0))
    return AsyncAhead(server, window, server.grant, split)


async def rest(ahead):
    return [said(come) async for come in _until_none(ahead)]


async def _until_none(ahead):
    while (come := await ahead.next()) is not None:
        yield come


async def test_all_messages_in_order_and_then_an_end():
    sent = [b"%d" % number for number in range(500)]
    server = Server(sent)
    async with await opened(server, Window()) as ahead:
        assert await rest(ahead) == sent
        assert await ahead.next() is None  # again, for whoever asks again


@pytest.mark.parametrize("size", [1, 4, 16])
async def test_a_reader_that_stalls_has_no_more_than_its_window(size):
    server = Server([b"x"] * 100)
    async with await opened(server, Window(size)) as ahead:
        assert said(await ahead.next()) == b"x"
        await server.waits.wait()
        assert size <= server.sent <= size + 1
        assert await rest(ahead) == [b"x"] * 99


async def test_what_came_is_there_without_waiting():
    server, window = Server([b"a", b"b", b"c"]), Window(4)
    async with await opened(server, window) as ahead:
        await server.left.wait()
        assert (window.ready, window.coming) == (3, 1)
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, "the loop went round")
        assert [said(await ahead.next()) for _ in range(4)] == [b"a", b"b", b"c", None]
        assert not turns


async def test_what_came_together_is_handed_out_one_by_one_and_counts_so():
    server, window = Server([b"a+b+c", b"d", b"e+f"]), Window(8)
    async with await opened(server, window) as ahead:
        await server.left.wait()
        assert (window.ready, window.coming) == (6, 2)
        assert await rest(ahead) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert server.granted == 8 + 6  # two at once


async def test_the_window_hears_how_large_a_frame_is_and_how_long_its_credit_lay():
    server = Server([b"abc+d"])
    await server.grant(2)
    async with AsyncAhead(server, window := Hearing(2), server.grant, partial(split, waited=0.25)):
        await server.left.wait()
    assert window.heard == [(3, 0.25), (1, 0.25)]


async def test_a_message_that_cannot_be_taken_apart_ends_it_where_it_is_read():
    def refuse(message):
        raise LimitError(f"{message!r} is no frame")

    server = Server([b"x"])
    await server.grant(1)
    async with AsyncAhead(server, Window(), server.grant, refuse) as ahead:
        with pytest.raises(LimitError, match="b'x' is no frame"):
            await ahead.next()


async def test_the_next_one_is_granted_before_the_last_is_drawn():
    server = Server([b"x"] * 3)
    async with await opened(server, Window()) as ahead:
        assert server.granted == 1
        await ahead.next()
        assert server.granted == 2


async def test_what_broke_the_stream_is_raised_after_what_came():
    server = Server([b"a", b"b"], ServerGone("gone"))
    async with await opened(server, Window(4)) as ahead:
        await server.left.wait()
        assert [said(await ahead.next()), said(await ahead.next())] == [b"a", b"b"]
        for _ in range(2):
            with pytest.raises(ServerGone, match="gone"):
                await ahead.next()


async def breaks():
    """Sends nothing, and breaks off instead of an orderly end."""
    try:
        await asyncio.Event().wait()
        yield b""
    except asyncio.CancelledError:
        raise ServerGone("gone") from None


@pytest.mark.parametrize("when", ["before", "while"])
async def test_a_stream_that_breaks_off_and_nobody_reads_says_nothing(when, caplog):
    async with AsyncAhead(breaks(), Window(), None, split) as ahead:
        await asyncio.sleep(0)
        if when == "before":
            ahead._task.cancel()
            await asyncio.wait({ahead._task})
    del ahead
    gc.collect()
    assert not caplog.records  # nor of an exception that was never retrieved


async def test_leaving_ends_the_reading_also_while_it_waits():
    server = Server([b"x"] * 100)
    async with await opened(server, Window(2)) as ahead:
        await server.waits.wait()
    assert server.left.is_set()
    assert ahead._task.cancelled()


async def test_leaving_at_once_begins_nothing():
    server = Server([b"x"])
    async with await opened(server, Window()):
        pass
    assert server.sent == 0


async def test_an_error_of_the_reader_is_not_hidden_by_that_of_the_stream():
    server = Server([b"x"], ServerGone("gone"))

    async def read():
        async with await opened(server, Window(2)) as ahead:
            assert said(await ahead.next()) == b"x"
            await server.left.wait()
            raise LookupError("the reader's own")

    with pytest.raises(LookupError, match="the reader's own"):
        await read()


async def test_a_reader_that_is_cancelled_while_it_waits_loses_nothing():
    sent = [b"%d" % number for number in range(20)]
    server, window = Server(sent), Window(4)
    async with AsyncAhead(server, window, server.grant, split) as ahead:
        await server.waits.wait()
        for _ in range(3):
            waiting = asyncio.create_task(ahead.next())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await server.grant(window.grant(0.0))
        assert await rest(ahead) == sent
