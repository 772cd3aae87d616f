"""What a session logs, for clients."""

import asyncio
import contextlib
import logging
import threading

import pytest

from rdaq_ophyd.server._log import CHARACTERS, KEPT, LogLines
from rdaq_ophyd.wire import messages

logger = logging.getLogger("rdaq_ophyd.test")


@pytest.fixture
async def lines():
    made = LogLines(asyncio.get_running_loop(), "this")
    yield made
    made.close()


async def told(lines, number, **request):
    found = []
    async with asyncio.timeout(10), contextlib.aclosing(lines.follow(messages.WatchLogRequest(**request))) as stream:
        async for line in stream:
            found.append(line)
            if len(found) == number:
                return found
    return found


async def test_lines_come_from_any_thread_with_level_and_name(lines):
    thread = threading.Thread(target=lambda: logger.warning("the port %s is gone", "/dev/ttyS0"))
    thread.start()
    (line,) = await told(lines, 1)
    thread.join()
    assert (line.level, line.logger, line.text, line.number) == (
        "WARNING",
        "rdaq_ophyd.test",
        "the port /dev/ttyS0 is gone",
        1,
    )
    assert line.time > 1e9


async def test_an_exception_is_told_by_its_last_line_and_a_long_text_is_cut(lines):
    try:
        raise ValueError("\ud800 of the stage")
    except ValueError:
        logger.exception("it failed")
    logger.error("x" * 10_000)
    first, second = await told(lines, 2)
    assert first.text == "it failed: ValueError: ? of the stage"
    assert len(second.text) == CHARACTERS


async def test_the_last_are_kept_and_a_gap_is_in_their_numbers(lines):
    for number in range(KEPT + 7):
        logger.warning("%d", number + 1)
    await asyncio.sleep(0)
    found = await told(lines, KEPT)
    assert [found[0].number, found[-1].number] == [8, KEPT + 7]
    (last,) = await told(lines, 1, instance="this", since=KEPT + 6)
    assert last.text == str(KEPT + 7)
    assert (await told(lines, 1, instance="another", since=KEPT + 6))[0].number == 8
    # One that it does not have yet: what comes next.
    waiting = asyncio.create_task(told(lines, 1, instance="this", since=10**9))
    await asyncio.sleep(0)
    logger.warning("next")
    assert (await waiting)[0].text == "next"


async def test_where_a_stream_begins_is_told_with_what_is_not_kept_any_more(lines):
    def where(**request):
        return lines.where(messages.WatchLogRequest(**request))

    assert where() == where(instance="this", since=9) == (0, 0)
    for number in range(KEPT + 7):
        logger.warning("%d", number + 1)
    await asyncio.sleep(0)
    assert where() == where(instance="another", since=3) == (7, 0)
    assert where(instance="this", since=3) == (7, 4)
    assert where(instance="this", since=7) == (7, 0)
    assert where(instance="this", since=400) == (400, 0)
    assert where(instance="this", since=10**9) == (KEPT + 7, 0)
    for request in ({}, {"instance": "this", "since": 3}, {"instance": "this", "since": 400}):
        (first,) = await told(lines, 1, **request)
        assert first.number == where(**request)[0] + 1


async def test_whoever_listens_gets_each_once(lines):
    listening = [asyncio.create_task(told(lines, 20)) for _ in range(3)]
    for number in range(20):
        logger.warning("%d", number)
        await asyncio.sleep(0)
    for task in listening:
        assert [line.text for line in await task] == [str(number) for number in range(20)]
    assert lines._listeners == set()


async def test_a_message_that_does_not_fit_its_arguments_is_loggings_affair(lines, capsys):
    lines.handle(logging.LogRecord("ours", logging.ERROR, __file__, 1, "%d of %d", (1,), None))
    assert "--- Logging error ---" in capsys.readouterr().err
    logger.warning("and the next one comes")
    assert (await told(lines, 1))[0].text == "and the next one comes"


async def test_nothing_is_taken_once_it_is_closed():
    lines = LogLines(asyncio.get_running_loop(), "this")
    lines.close()
    assert lines not in logging.getLogger().handlers
    logger.warning("too late")
    await asyncio.sleep(0)
    assert not lines._lines


def test_a_loop_that_has_ended_is_no_trouble():
    loop = asyncio.new_event_loop()
    lines = LogLines(loop, "this")
    loop.close()
    logger.warning("nobody hears it")
    lines.close()
