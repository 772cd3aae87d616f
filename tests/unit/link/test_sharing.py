"""Devices that share a real link: turns, and one question for all who ask it."""

import asyncio
from collections.abc import Iterator

import pytest
from parts import Echo, until

from rdaq_ophyd.errors import LinkClosed, QueueFull
from rdaq_ophyd.link import Lane, Line, SerialLink
from rdaq_ophyd.sim import Faults, Port, serve_pty


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as served:
        yield served


@pytest.fixture
def link(port: Port) -> Iterator[SerialLink]:
    made = SerialLink(port.url, reply=Line(b"\r\n"), timeout=5.0, bound=300)
    made.open()
    yield made
    made.close()


async def held(link: SerialLink, port: Port) -> asyncio.Future:
    """A question that waits for its answer until the test sends ``held``."""
    before = port.log.bytes().count(b"Qheld")
    port.faults = Faults(mute=True)
    pending = link.submit(b"Qheld\r", timeout=60.0)
    await until(lambda: port.log.bytes().count(b"Qheld") > before)
    port.faults = Faults()
    return asyncio.wrap_future(pending)


async def test_a_greedy_device_delays_another_by_one_exchange(link: SerialLink, port: Port):
    first = await held(link, port)
    greedy = [link.submit(b"Qx%d\r" % i, who="x") for i in range(200)]
    single = link.submit(b"Qy\r", who="y")
    port.babble(b"held\r\n")
    assert await first == b"held"
    assert await asyncio.wrap_future(single) == b"y"
    assert [future.result(5) for future in greedy] == [b"x%d" % i for i in range(200)]
    asked = port.log.bytes().split(b"\r")
    assert asked.index(b"Qy") == 2  # after the one in flight and one of x
    with pytest.raises(QueueFull, match="300 exchanges .* lane POLL, 299 of them from x.*last exchange: sent"):
        await fill(link, port)


async def fill(link: SerialLink, port: Port) -> None:
    pending = await held(link, port)
    try:
        link.submit(b"Qy\r", who="y", lane=Lane.POLL)
        for _ in range(300):
            link.submit(b"Qx\r", who="x", lane=Lane.POLL)
    finally:
        port.babble(b"held\r\n")
        await pending


async def test_readers_of_one_value_share_one_question(link: SerialLink, port: Port):
    first = await held(link, port)
    readers = [link.submit(b"Qvalue\r", who=i, share=True) for i in range(20)]
    readers.append(link.submit(b"Qvalue\r", who="poll", lane=Lane.POLL, share=True))
    assert readers.pop(0).cancel()
    port.babble(b"held\r\n")
    assert await first == b"held"
    assert [await asyncio.wrap_future(reader) for reader in readers] == [b"value"] * 20
    assert port.log.bytes() == b"Qheld\rQvalue\r"
    assert link.statistics.coalesced == 19


async def test_what_was_asked_before_the_question_does_not_answer_it(link: SerialLink, port: Port):
    port.faults = Faults(mute=True)
    early = link.submit(b"Qvalue\r", share=True)
    await until(lambda: b"Qvalue" in port.log.bytes())
    port.faults = Faults()
    late = link.submit(b"Qvalue\r", share=True)
    port.babble(b"old\r\n")
    assert early.result(5) == b"old"
    assert late.result(5) == b"value"


async def test_those_who_share_hear_of_a_loss(link: SerialLink, port: Port):
    first = await held(link, port)
    shared = [link.submit(b"Qvalue\r", share=True, who=i) for i in range(3)]
    port.disconnect()
    for future in (first, *map(asyncio.wrap_future, shared)):
        with pytest.raises(LinkClosed, match="stopped working"):
            await future


def test_only_questions_can_be_shared(link: SerialLink):
    with pytest.raises(ValueError, match=r"b'Tgo\\r' has no reply that could be shared"):
        link.submit(b"Tgo\r", reply=False, share=True)
