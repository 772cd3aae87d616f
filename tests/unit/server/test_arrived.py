"""What has arrived is done, whatever becomes of whoever waits for it."""

import asyncio

import pytest

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.server._arrived import Arrived


@pytest.fixture
async def arrived():
    made = Arrived()
    yield made
    await made.close()


async def begun(coroutine):
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def test_its_result_is_that_of_what_was_done(arrived):
    async def what():
        return 3

    assert await arrived.see_through(what()) == 3


async def test_its_first_step_is_made_at_once(arrived):
    done = []

    async def what():
        done.append(1)
        await asyncio.sleep(60)

    call = arrived.see_through(what()).__await__()
    next(call)  # what runs until it waits
    assert done == [1]
    call.close()


async def test_who_is_cancelled_in_the_very_step_in_which_the_request_comes_loses_nothing(arrived):
    came, done = asyncio.get_running_loop().create_future(), []

    async def what():
        done.append(await came)

    call = await begun(arrived.see_through(what()))
    came.set_result("smoke")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0)
    assert done == ["smoke"]


async def test_what_comes_after_its_call_is_done_too_and_its_failure_is_told(arrived, caplog):
    came, failed = asyncio.Event(), asyncio.Event()

    async def what():
        await came.wait()
        try:
            raise RdaqError("no bench")
        finally:
            failed.set()

    call = await begun(arrived.see_through(what()))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    came.set()
    await failed.wait()
    await asyncio.sleep(0)
    assert "a stop of a client that is gone: no bench" in caplog.text


async def test_a_failure_is_for_whoever_waits(arrived, caplog):
    async def what():
        await asyncio.sleep(0)
        raise RdaqError("no bench")

    with pytest.raises(RdaqError, match="no bench"):
        await arrived.see_through(what())
    await asyncio.sleep(0)
    assert not caplog.records


async def test_at_the_end_nothing_is_waited_for_any_more(arrived, caplog):
    call = await begun(arrived.see_through(asyncio.sleep(60)))
    await arrived.close()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not caplog.records


async def test_what_comes_after_the_end_is_cancelled_with_its_call(arrived):
    await arrived.close()
    done = []

    async def what():
        await asyncio.sleep(0)
        done.append(1)

    call = await begun(arrived.see_through(what()))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not done
