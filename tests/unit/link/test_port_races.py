"""A port that goes away in the wrong moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts import Echo, until

from rdaq_ophyd.errors import LinkClosed, PortNotFound, WrongInstrument
from rdaq_ophyd.link import Line, LinkState, SerialLink
from rdaq_ophyd.link._reopen import Reopener
from rdaq_ophyd.sim import Faults, Port, serve_pty
from rdaq_ophyd.stop import SafeState, halt_all


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True, link=tmp_path / "echo") as made:
        yield made


@pytest.fixture
def link(port: Port, tmp_path: Path) -> Iterator[SerialLink]:
    made = SerialLink(str(tmp_path / "echo"), reply=Line(b"\r\n"), timeout=5.0)
    made.open()
    yield made
    made.close()


async def test_a_loss_noticed_after_the_end_is_none(link: SerialLink):
    before = link._exchanger
    link.close()
    before.lose(LinkClosed("noticed late"))
    assert link.state is LinkState.CLOSED
    link.open()
    before.lost = None
    before.lose(LinkClosed("noticed later still"))
    assert link.state is LinkState.CONNECTED
    assert link.statistics.lost == 0


async def test_a_loss_while_opening_by_hand_is_not_forgotten(link: SerialLink, port: Port, monkeypatch):
    link.reopening = True
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    port.reconnect()
    opened = link._open_port

    def open_and_lose() -> None:
        opened()
        monkeypatch.undo()
        link._exchanger.lose(LinkClosed("pulled again"))

    monkeypatch.setattr(link, "_open_port", open_and_lose)
    link.open()
    await until(lambda: link.state is LinkState.CHECKING)
    link.accept()
    assert await link.ask(b"Qback\r") == b"back"


async def test_errors_tell_of_the_loss_also_when_opening_failed_since(link: SerialLink, port: Port):
    assert await link.ask(b"Qhello\r") == b"hello"
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    with pytest.raises(PortNotFound):
        link.open()
    with pytest.raises(LinkClosed, match=r"stopped working.*last exchange: sent b'Qhello.*not asked again"):
        link.submit(b"Qmore\r")


async def test_a_wrong_instrument_that_cannot_be_opened_by_hand_is_looked_for(link: SerialLink, port: Port):
    link.reopening = True
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)
    link.reject(WrongInstrument("a toaster"))
    port.disconnect()
    link._reopener.succeeded()  # quick again, so that the test is
    with pytest.raises(PortNotFound):
        link.open()
    assert link.state is LinkState.LOST
    port.reconnect()
    await until(lambda: link.state is LinkState.CHECKING)


async def test_rejecting_what_was_closed_changes_nothing(link: SerialLink):
    link.reject(WrongInstrument("a toaster"))
    assert link.state is LinkState.CONNECTED
    link.close()
    link.reject(WrongInstrument("a toaster"))
    assert link.state is LinkState.CLOSED


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_halt_that_still_waited_is_written_when_the_port_is_back(link: SerialLink, port: Port, by_hand: bool):
    link.safety.declare(link, lambda: [SafeState("x", halt=b"stop\r", preempt=False)])
    link.reopening = not by_hand
    port.faults = Faults(mute=True)
    pending = link.submit(b"Qmute\r", timeout=60.0)
    await until(lambda: b"Qmute" in port.log.bytes())
    halt_all("smoke")  # waits behind the question that has no answer
    port.disconnect()
    await until(pending.done)
    port.faults = Faults()
    port.reconnect()
    if by_hand:
        link.open()
    else:
        await until(lambda: link.state is LinkState.CHECKING)
        link.accept()
    assert await link.ask(b"Qhello\r", safe=True) == b"hello"
    assert port.log.bytes() == b"Qmute\rstop\rQhello\r"
    link.safety.retract(link)


def test_one_thread_tries_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.link._reopen.FIRST_PAUSE", 0.0)
    began, go_on, asked = threading.Event(), threading.Event(), []

    def attempt(wanted) -> None:
        first = not began.is_set()
        began.set()
        assert go_on.wait(10)
        asked.append((first, wanted()))

    reopener = Reopener("port", attempt)
    reopener.start()
    assert began.wait(10)
    reopener.start()
    go_on.set()
    reopener.join()
    assert sorted(asked) == [(False, True), (True, False)]
    reopener.give_up()
    reopener.start()
    reopener.join()
    assert len(asked) == 2
    reopener.allow()
    reopener.start()
    reopener.join()
    assert len(asked) == 3
