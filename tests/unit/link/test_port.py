"""A port that goes away and comes back: noticed at once, opened again, checked before anybody else may ask."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from parts import Echo, until

from rdaq_ophyd.errors import LinkClosed, PortNotFound, ReplyTimeout, WrongInstrument
from rdaq_ophyd.link import ROUND_TRIPS, Lane, Line, LinkState, SerialLink, TcpLink, readable
from rdaq_ophyd.sim import Faults, Port, serve_pty, serve_tcp
from rdaq_ophyd.stop import SafeState, halt_all

REPLY = Line(b"\r\n")


@pytest.fixture
def port(tmp_path: Path):
    with serve_pty(Echo(), lift_baud=True, link=tmp_path / "echo") as made:
        yield made


@pytest.fixture
def link(port: Port, tmp_path: Path):
    made = SerialLink(str(tmp_path / "echo"), reply=REPLY, timeout=0.3)
    yield made
    made.close()


def seen(link: Any) -> list[LinkState]:
    """States as a watcher is told them."""
    states: list[LinkState] = []
    link.watch(states.append)
    return states


async def test_states_from_open_to_close(link):
    states = seen(link)
    assert link.state is LinkState.CLOSED
    link.open()
    assert await link.ask(b"Qhello\r") == b"hello"
    link.close()
    assert states == [LinkState.CONNECTED, LinkState.CLOSED]


async def test_noticed_at_once_though_nobody_asks(link, port):
    states = seen(link)
    link.open()
    port.disconnect()
    await until(lambda: states[-1] is LinkState.LOST)
    with pytest.raises(LinkClosed, match="stopped working"):
        link.submit(b"Qhello\r")
    assert not link.is_open
    assert link.statistics.lost == 1


async def test_a_tcp_peer_that_hangs_up_is_noticed(tmp_path):
    with serve_tcp(Echo(), lift_baud=True) as port:
        link = TcpLink(port.url.replace("socket", "tcp"), reply=REPLY)
        link.open()
        states = seen(link)
        assert await link.ask(b"Qhello\r") == b"hello"
        port.disconnect()
        await until(lambda: LinkState.LOST in states)
        link.close()


async def test_what_waits_fails_and_is_never_sent_again(link, port):
    link.reopening = True
    link.open()
    port.faults = Faults(mute=True)
    first = link.submit(b"Qfirst\r", timeout=10.0)
    waiting = [link.submit(b"Q%d\r" % n) for n in range(3)]
    await until(lambda: b"Qfirst" in port.log.bytes())
    port.disconnect()
    for future in (first, *waiting):
        with pytest.raises(LinkClosed, match="stopped working"):
            future.result(5)
    port.faults = Faults()
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    link.accept()
    assert await link.ask(b"Qlast\r") == b"last"
    assert port.log.bytes() == b"Qfirst\rQlast\r"
    assert link.statistics.reopened == 1


async def test_until_it_is_accepted_only_the_handshake_and_halts_pass(link, port):
    link.reopening = True
    link.open()
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    with pytest.raises(LinkClosed, match="not known yet"):
        await link.ask(b"Qhello\r")
    with pytest.raises(LinkClosed, match="not known yet"):
        link.preempt(b"move\r", safe=False)
    with link.handshake():
        assert await link.ask(b"Qwho\r") == b"who"
    link.preempt(b"stop\r")
    await link.tell(b"off\r", lane=Lane.URGENT, safe=True)
    link.accept()
    link.accept()
    assert link.state is LinkState.CONNECTED
    assert await link.ask(b"Qhello\r") == b"hello"
    await until(lambda: port.log.bytes() == b"Qwho\rstop\roff\rQhello\r")


async def test_another_instrument_is_left_alone_and_tried_again(link, port, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.link._reopen.LONGEST_PAUSE", 0.05)
    link.reopening = True
    link.open()
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    link.reject(WrongInstrument("x: this is a toaster"))
    with pytest.raises(LinkClosed, match=r"another instrument is behind this port: x: this is a toaster"):
        link.submit(b"Qhello\r")
    await until(lambda: link.state is LinkState.CHECKING)
    link.accept()
    assert await link.ask(b"Qhello\r") == b"hello"


async def test_a_halt_that_the_port_missed_is_written_first(link, port):
    link.safety.declare(link, lambda: [SafeState("x", halt=b"stop\r", preempt=True)])
    link.reopening = True
    link.open()
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    halted = halt_all("smoke")
    assert [v.outcome.value for v in halted.confirm().verdicts] == ["unconfirmed"]
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    link.accept()
    assert await link.ask(b"Qhello\r", safe=True) == b"hello"
    assert port.log.bytes() == b"stop\rQhello\r"
    link.safety.retract(link)


async def test_opening_by_hand_while_it_is_lost(link, port):
    link.reopening = True
    link.open()
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    with pytest.raises(PortNotFound):
        link.open()
    port.reconnect()
    link.open()
    assert link.state is LinkState.CONNECTED
    assert await link.ask(b"Qhello\r") == b"hello"


async def test_closing_while_it_is_lost_ends_the_attempts(link, port):
    link.reopening = True
    link.open()
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    link.close()
    assert link.state is LinkState.CLOSED
    assert not [t for t in threading.enumerate() if "reopen" in t.name]


async def test_an_instrument_that_falls_silent_is_mute_until_it_answers(link, port, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.link._exchanger.HEARTBEAT_TIMEOUT", 0.02)
    link.heartbeat(b"Qthere\r", REPLY, 0.02)
    link.open()
    states = seen(link)
    await until(lambda: port.log.bytes().count(b"Qthere") > 2)
    assert states == []
    port.faults = Faults(mute=True)
    await until(lambda: states == [LinkState.MUTE])
    assert link.is_open
    port.faults = Faults()
    await until(lambda: states == [LinkState.MUTE, LinkState.CONNECTED])


async def test_statistics(link, port):
    link.open()
    for n in range(5):
        await link.ask(b"Q%d\r" % n)
    link.preempt(b"stop\r")
    port.faults = Faults(mute=True)
    assert link.submit(b"Qmute\r", timeout=0.05).exception(5) is not None
    port.faults = Faults()
    await link.ask(b"Qback\r")
    found = link.statistics
    assert (found.exchanges, found.timeouts, found.resyncs, found.preempted, found.writes) == (6, 1, 1, 1, 1)
    assert (found.bytes_out, found.bytes_in) == (5 * 3 + 5 + 6 + 6, 5 * 3 + 6)
    assert 0 < found.latency_p50 <= found.latency_p99 <= found.latency_max
    assert len(found.round_trips) == len(ROUND_TRIPS) + 1
    assert sum(found.round_trips) == found.exchanges
    assert found.latency_max <= found.round_trip_sum <= found.exchanges * found.latency_max
    assert found.rate == pytest.approx(0.6)
    assert found.queued == 0


async def test_the_trace_tells_what_happened_in_order(link, port):
    link.open()
    await link.ask(b"Qhello\r")
    link.preempt(b"stop\r")
    port.babble(b"noise")
    assert readable(link.fileno(), 5.0)  # before the next question, so that it answers none
    await link.ask(b"Qnext\r")
    kinds = [(entry.kind, entry.data) for entry in link.trace()]
    assert kinds[:2] == [("state", b"connected"), ("out", b"Qhello\r")]
    assert ("preempt", b"stop\r") in kinds
    assert ("drop", b"noise") in kinds
    assert all(str(entry) for entry in link.trace())
    for n in range(150):
        await link.ask(b"Q%d\r" % n)
    assert len(link.trace()) == 200


async def test_every_error_names_the_last_exchange(link, port):
    link.open()
    await link.ask(b"Qhello\r")
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout, match=r"last exchange: sent b'Qhello\\r', received b'hello' after"):
        link.submit(b"Qa\r", timeout=0.05).result(5)
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    with pytest.raises(LinkClosed, match="last exchange: sent b'Qhello"):
        link.submit(b"Qb\r")


async def test_a_driver_that_fails_does_not_keep_the_others_from_being_stopped(link, port, caplog):
    def broken() -> list[SafeState]:
        raise ValueError("driver")

    link.safety.declare("good", lambda: [SafeState("x", halt=b"stop\r", preempt=True)])
    link.safety.declare("bad", broken, broken)
    link.open()
    halted = halt_all("smoke")
    await until(lambda: port.log.bytes() == b"stop\r")
    assert [verdict.device for verdict in halted.confirm().verdicts] == ["x"]
    assert "ValueError: driver" in caplog.text
    link.safety.retract("good")
    link.safety.retract("bad")


async def test_a_halt_that_does_not_preempt_goes_ahead_of_the_queue(link, port):
    link.safety.declare(link, lambda: [SafeState("x", halt=b"stop\r")])
    link.open()
    waiting = [link.submit(b"Q%d\r" % n, safe=True) for n in range(30)]
    halted = halt_all("smoke")
    for future in waiting:
        future.result(5)
    halted.confirm()
    await until(lambda: b"stop\r" in port.log.bytes())
    assert not port.log.bytes().endswith(b"stop\r")
    link.safety.retract(link)


async def test_a_port_that_came_back_once_more_is_not_accepted_unchecked(link, port):
    link.reopening = True
    link.open()
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    asked = link.openings
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    link.accept(asked)
    assert link.state is LinkState.CHECKING
    link.accept(link.openings)
    assert link.state is LinkState.CONNECTED
