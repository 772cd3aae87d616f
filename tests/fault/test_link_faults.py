"""A link against instruments that are mute, late, cut off, babbling, or gone."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from parts import Echo, until

from rdaq_ophyd.errors import BadReply, LinkClosed, LinkError, PortNotFound, ReplyTimeout
from rdaq_ophyd.link import Lane, Line, Link, SerialLink, TcpLink
from rdaq_ophyd.link import _exchanger as link_module
from rdaq_ophyd.sim import Faults, Port, serve_pty, serve_tcp


def opened(url: str, **options) -> Link:
    make = TcpLink if url.startswith("socket://") else SerialLink
    link = make(url.replace("socket://", "tcp://"), reply=Line(b"\r\n"), **{"timeout": 0.3} | options)
    link.open()
    return link


@pytest.fixture(params=["pty", "tcp"])
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    serve = serve_pty if request.param == "pty" else serve_tcp
    with serve(Echo(), lift_baud=True) as served:
        yield served


@pytest.fixture
def link(port: Port) -> Iterator[Link]:
    link = opened(port.url)
    yield link
    link.close()


async def test_a_mute_instrument_times_out_and_recovers(link: Link, port: Port):
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout, match="is the instrument on"):
        await link.ask(b"Q1\r")
    port.faults = Faults()
    assert await link.ask(b"Q2\r") == b"2"


async def test_half_a_reply_is_shown_and_its_rest_answers_nothing(link: Link, port: Port):
    port.faults = Faults(half_reply=3)
    with pytest.raises(ReplyTimeout, match=r"only b'123' \(no end mark\)"):
        await link.ask(b"Q123456\r")
    port.faults = Faults()
    assert await link.ask(b"Qnext\r") == b"next"


# It is awaited until 1 s; a busy machine makes it later still.
@pytest.mark.parametrize("late_by", [0.6, 0.8])
async def test_a_late_reply_never_answers_the_next_question(link: Link, port: Port, late_by: float):
    port.faults = Faults(reply_delay=late_by)
    with pytest.raises(ReplyTimeout):
        await link.ask(b"Qlate\r", timeout=0.5)
    port.faults = Faults()
    assert [await link.ask(b"Q%d\r" % i) for i in range(3)] == [b"0", b"1", b"2"]


async def test_an_urgent_command_does_not_wait_for_a_late_reply(link: Link, port: Port):
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout):
        await link.ask(b"Qlost\r", timeout=0.5)
    pending = link.submit(b"Qpending\r", timeout=0.2)  # waits until a late reply can no longer come
    await link.tell(b"TSTOP\r", lane=Lane.URGENT)
    with pytest.raises(ReplyTimeout):
        await asyncio.wrap_future(pending)
    log = port.log.bytes()
    assert log.index(b"TSTOP") < log.index(b"Qpending")


async def test_a_babbling_instrument_fails_the_question_and_is_forgiven(port: Port):
    # On a busy machine it babbles at times much later than it should: silence is what lasts fifty times as long.
    with closing(opened(port.url, babble=0.3, quiet=0.5)) as link:
        assert await link.ask(b"Q0\r") == b"0"
        port.faults = Faults(babble=b"@!", babble_every=0.01)
        link.resync()
        with pytest.raises(BadReply, match="without being asked"):
            await link.ask(b"Q1\r")
        link.preempt(b"TSTOP\r")
        await link.tell(b"Tgo\r")
        port.faults = Faults()
        assert await link.ask(b"Q2\r") == b"2"
        assert b"Q1" not in port.log.bytes()


async def test_a_reply_without_end_is_garbage(link: Link, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link_module, "MAX_REPLY", 100)
    assert await link.ask(b"Q0\r") == b"0"
    port.faults = Faults(babble=b"x" * 40, babble_every=0.02)
    with pytest.raises(BadReply, match="no end of a reply"):
        await link.ask(b"Tmute\r", timeout=5.0)
    port.faults = Faults()
    assert await link.ask(b"Qok\r") == b"ok"


async def test_a_pulled_cable_fails_everything_visibly_and_at_once(link: Link, port: Port):
    assert await link.ask(b"Q0\r") == b"0"
    port.faults = Faults(mute=True)
    waiting = [link.submit(b"Q%d\r" % i, timeout=20.0) for i in range(3)]
    port.disconnect()
    for future in waiting:
        with pytest.raises(LinkClosed, match=r"(stopped working|closed).*last exchange: sent b'Q0"):
            await asyncio.wait_for(asyncio.wrap_future(future), 10)
    assert not link.is_open
    with pytest.raises(LinkError, match="plug it in again"):
        await link.ask(b"Q\r")
    with pytest.raises(LinkError, match="plug it in again"):
        link.preempt(b"T\r")


async def test_a_cable_plugged_in_again_works_after_opening(tmp_path):
    stable = tmp_path / "by-id"
    with serve_pty(Echo(), lift_baud=True, link=stable) as port:
        link = opened(str(stable))
        port.disconnect()
        with pytest.raises(LinkClosed):
            await link.ask(b"Q1\r")
        with pytest.raises(PortNotFound):
            link.open()
        port.reconnect()
        link.open()
        assert await link.ask(b"Q2\r") == b"2"
        link.close()


def test_closing_does_not_wait_for_a_mute_instrument(link: Link, port: Port):
    port.faults = Faults(mute=True)
    pending = link.submit(b"Q\r", timeout=60.0)
    while b"Q\r" not in port.log.bytes():
        threading.Event().wait(0.001)
    link.close()
    with pytest.raises(LinkClosed):
        pending.result(1)


def test_closing_does_not_wait_for_a_late_reply(link: Link, port: Port):
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout):
        link.submit(b"Q\r", timeout=0.05).result(5)
    link._exchanger._late_until += 60.0
    pending = link.submit(b"Q2\r")
    link.close()
    with pytest.raises(LinkClosed):
        pending.result(1)


async def test_fifty_readers_do_not_hold_back_a_preempting_stop(port: Port):
    port.instrument.latency = 0.01
    link = opened(port.url, timeout=10.0)

    async def reader(i: int) -> None:
        while True:
            assert await link.ask(b"Q%d\r" % i) == b"%d" % i

    readers = [asyncio.ensure_future(reader(i)) for i in range(50)]
    await until(lambda: len(port.log.arrivals(b"Q")) >= 20)
    queued = len(link._exchanger.queue)
    asked_before = len(port.log.arrivals(b"Q"))
    link.preempt(b"TSTOP\r")
    await until(lambda: port.log.arrivals(b"TSTOP\r"))
    stop = port.log.arrivals(b"TSTOP\r")[0]
    asked_until_stop = sum(t < stop for t in port.log.arrivals(b"Q"))
    for task in readers:
        task.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    link.close()
    # 49 waited; at most the exchange in flight ended, and one more began, before the stop was at the instrument.
    assert queued >= 40
    assert asked_until_stop - asked_before <= 2


async def test_preempting_writes_never_split_a_line(port: Port):
    link = opened(port.url, timeout=10.0)
    stop, stops = threading.Event(), 0

    def stopper() -> None:
        nonlocal stops
        while not stop.is_set():
            link.preempt(b"TSTOP\r")
            stops += 1

    thread = threading.Thread(target=stopper)
    thread.start()
    replies = await asyncio.gather(*(link.ask(b"Qlong-question-%03d\r" % i) for i in range(100)))
    stop.set()
    thread.join()
    assert replies == [b"long-question-%03d" % i for i in range(100)]
    link.close()
    await until(lambda: len(port.log.arrivals(b"TSTOP\r")) >= stops)
    assert set(port.log.bytes().split(b"\r")) == {b"", b"TSTOP"} | {b"Qlong-question-%03d" % i for i in range(100)}
