"""Something is cancelled at its n-th wait, in whatever task of it."""

import asyncio

import pytest

from rdaq_ophyd.testing._steps import cancelled_at


async def waits(log: list[str]) -> None:
    for name in ("first", "second"):
        await asyncio.sleep(0)
        log.append(name)
    await asyncio.create_task(inner(log))
    log.append("last")


async def inner(log: list[str]) -> None:
    await asyncio.sleep(0)
    log.append("inner")


@pytest.mark.parametrize(
    ("number", "reached", "done"),
    [
        (1, True, []),
        (2, True, ["first"]),
        (3, True, ["first", "second"]),
        (9, False, ["first", "second", "inner", "last"]),
    ],
)
async def test_cancelled_at_its_nth_wait(number: int, reached: bool, done: list[str]):
    log: list[str] = []
    assert await cancelled_at(number, lambda: waits(log), late=False) is reached
    assert log == done


async def test_a_result_that_is_there_already_does_not_hide_the_cancellation():
    future = asyncio.get_running_loop().create_future()
    ended: list[str] = []

    async def wait_for_it() -> None:
        try:
            await future
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("done")

    asyncio.get_running_loop().call_later(0.01, future.set_result, None)
    assert await cancelled_at(1, wait_for_it, late=True)
    assert ended == ["cancelled"]
    assert future.result() is None


async def test_what_it_raises_is_its_own():
    async def fails() -> None:
        raise RuntimeError("its own")

    assert not await cancelled_at(1, fails, late=False)
    assert asyncio.get_running_loop().get_task_factory() is None
