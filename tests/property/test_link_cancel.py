"""Whatever is cancelled whenever: each reply answers its own question, and nothing is left behind."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts import Echo

from rdaq_ophyd.errors import ReplyTimeout
from rdaq_ophyd.link import Lane, Line, SerialLink
from rdaq_ophyd.sim import Port, serve_pty


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    with serve_pty(Echo(latency=0.001), lift_baud=True) as served:
        yield served


@pytest.fixture
def link(port: Port) -> Iterator[SerialLink]:
    link = SerialLink(port.url, reply=Line(b"\r\n"), timeout=5.0, quiet=0.005)
    link.open()
    yield link
    link.close()


step = st.fixed_dictionaries(
    {
        "lane": st.sampled_from(list(Lane)),
        "kind": st.sampled_from(["ask", "ask", "ask", "tell", "preempt", "lost"]),
        "cancel_after": st.one_of(st.none(), st.floats(0.0, 0.01)),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=1, max_size=25))
async def test_every_reply_answers_its_own_question(link: SerialLink, steps: list[dict]):
    async def one(i: int, kind: str, lane: Lane) -> None:
        if kind == "ask":
            assert await link.ask(b"Q%d\r" % i, lane=lane) == b"%d" % i
        elif kind == "tell":
            await link.tell(b"T%d\r" % i, lane=lane)
        elif kind == "preempt":
            link.preempt(b"T%d\r" % i)
        else:
            with pytest.raises(ReplyTimeout):
                await link.ask(b"Tno reply\r", lane=lane, timeout=0.005)

    async def maybe_cancelled(i: int, kind: str, lane: Lane, cancel_after: float | None) -> None:
        task = asyncio.ensure_future(one(i, kind, lane))
        if cancel_after is not None:
            await asyncio.sleep(cancel_after)
            task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        assert results[0] is None or isinstance(results[0], asyncio.CancelledError), results

    await asyncio.gather(*(maybe_cancelled(i, **s) for i, s in enumerate(steps)))
    # In the last lane, so that everything before it has left the queue.
    assert await link.ask(b"Qlast\r", lane=Lane.POLL) == b"last"
    assert len(link._exchanger.queue) == 0
