"""A link over a real pty, against a line-based echo."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest
from parts import Echo, until

from rdaq_ophyd.errors import LinkClosed, QueueFull, ReplyTimeout
from rdaq_ophyd.link import Fixed, Lane, Line, SerialLink
from rdaq_ophyd.sim import Port, serve_pty


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as served:
        yield served


@pytest.fixture
def link(port: Port) -> Iterator[SerialLink]:
    link = SerialLink(port.url, reply=Line(b"\r\n"), timeout=2.0)
    link.open()
    yield link
    link.close()


async def test_ask_and_tell(link: SerialLink, port: Port):
    assert await link.ask(b"Qhello\r") == b"hello"
    await link.tell(b"Tnothing\r")
    assert await link.ask(b"Q\r") == b""
    assert port.log.bytes() == b"Qhello\rTnothing\rQ\r"
    assert "Q" in str(link.last_exchange)


def test_submit_needs_no_event_loop(link: SerialLink):
    futures = [link.submit(b"Q%d\r" % i) for i in range(50)]
    assert [f.result(5) for f in futures] == [b"%d" % i for i in range(50)]


async def test_a_reply_may_have_a_framing_of_its_own(link: SerialLink):
    assert await link.ask(b"Qabcdef\r", reply=Fixed(8)) == b"abcdef\r\n"


async def test_many_readers_each_get_their_own_reply(link: SerialLink):
    async def reader(i: int) -> None:
        for k in range(5):
            assert await link.ask(b"Q%d.%d\r" % (i, k)) == b"%d.%d" % (i, k)

    await asyncio.gather(*(reader(i) for i in range(20)))


async def test_commands_in_one_piece_stay_together(link: SerialLink, port: Port):
    asks = [link.ask(b"T%d\rQ%d\r" % (i, i)) for i in range(10)]
    assert await asyncio.gather(*asks) == [b"%d" % i for i in range(10)]
    lines = port.log.bytes().split(b"\r")[:-1]
    assert all(lines[i] == lines[i + 1].replace(b"Q", b"T") for i in range(0, len(lines), 2))


def test_the_urgent_lane_goes_before_what_waits(link: SerialLink, port: Port):
    port.instrument.latency = 0.05
    waiting = [link.submit(b"Q%d\r" % i) for i in range(5)]
    urgent = link.submit(b"TSTOP\r", reply=False, lane=Lane.URGENT)
    poll = link.submit(b"Qpoll\r", lane=Lane.POLL)
    for future in (*waiting, urgent, poll):
        future.result(5)
    log = port.log.bytes()
    assert log.index(b"TSTOP") < log.index(b"Q2")
    assert log.endswith(b"Qpoll\r")


def test_preempt_goes_past_the_exchange_in_flight(link: SerialLink, port: Port):
    port.instrument.latency = 0.2
    pending = link.submit(b"Qslow\r")
    queued = link.submit(b"Qnext\r")
    while b"Qslow\r" not in port.log.bytes():
        threading.Event().wait(0.001)
    link.preempt(b"TSTOP\r")
    assert pending.result(5) == b"slow"
    assert queued.result(5) == b"next"
    assert port.log.bytes().startswith(b"Qslow\rTSTOP\r")


async def test_an_exchange_cancelled_while_it_waits_is_never_sent(link: SerialLink, port: Port):
    port.instrument.latency = 0.1
    first = asyncio.ensure_future(link.ask(b"Qfirst\r"))
    second = asyncio.ensure_future(link.ask(b"Qsecond\r"))
    await asyncio.sleep(0)
    second.cancel()
    assert await first == b"first"
    assert await link.ask(b"Qthird\r") == b"third"
    assert b"second" not in port.log.bytes()


async def test_an_exchange_cancelled_in_flight_keeps_its_reply_to_itself(link: SerialLink, port: Port):
    port.instrument.latency = 0.1
    first = asyncio.ensure_future(link.ask(b"Qfirst\r"))
    await until(lambda: b"Qfirst\r" in port.log.bytes())
    first.cancel()
    assert await link.ask(b"Qsecond\r") == b"second"


async def test_the_time_out_names_question_and_last_exchange(link: SerialLink):
    with pytest.raises(ReplyTimeout, match=r"no reply to b'Tmute\\r' within 0\.05 s \(it has not answered"):
        await link.ask(b"Tmute\r", timeout=0.05)
    assert await link.ask(b"Qa\r") == b"a"
    with pytest.raises(ReplyTimeout, match=r"last exchange: sent b'Qa\\r', received b'a'"):
        await link.ask(b"Tmute\r", timeout=0.05)


def test_a_full_queue_refuses(port: Port):
    link = SerialLink(port.url, reply=Line(b"\r\n"), bound=3)
    link.open()
    port.instrument.latency = 0.2
    for _ in range(3):
        link.submit(b"Qx\r")
    with contextlib.suppress(QueueFull):  # the first one may have left the queue already
        link.submit(b"Qx\r")
    with pytest.raises(QueueFull, match="3 exchanges already wait in lane NORMAL"):
        link.submit(b"Qx\r")
    link.preempt(b"TSTOP\r")
    link.close()


def test_close_fails_what_waits_and_may_be_repeated(link: SerialLink, port: Port):
    port.instrument.latency = 5.0
    futures = [link.submit(b"Q%d\r" % i) for i in range(3)]
    link.close()
    link.close()
    for future in futures:
        with pytest.raises(LinkClosed):
            future.result(5)
    assert not link.is_open
    with pytest.raises(LinkClosed, match="closed"):
        link.submit(b"Q\r")
    with pytest.raises(LinkClosed, match="closed"):
        link.preempt(b"T\r")


def test_a_link_can_be_opened_again(link: SerialLink):
    link.close()
    link.open()
    link.open()
    assert link.submit(b"Qagain\r").result(5) == b"again"


async def test_stray_bytes_before_a_question_are_dropped(link: SerialLink, port: Port):
    port.babble(b"banner\r\n")
    await until(lambda: link._port.in_waiting >= 8)
    assert await link.ask(b"Qx\r") == b"x"


def test_an_idle_link_uses_no_cpu(link: SerialLink):
    thread = next(t for t in threading.enumerate() if t.name.startswith("rdaq-link"))
    link.submit(b"Qx\r").result(5)

    def ticks() -> int:
        with open(f"/proc/self/task/{thread.native_id}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    threading.Event().wait(0.3)
    assert ticks() - before <= 1
