"""A stop on a link: nothing that waited goes out behind the halt, silence costs no verdict, a reset only asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from parts import Echo, until

from rdaq_ophyd.errors import StopLatched
from rdaq_ophyd.link import Line, SerialLink
from rdaq_ophyd.sim import Faults, Port, serve_pty
from rdaq_ophyd.stop import Outcome, SafeState, latch, reset, stop_all


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as served:
        yield served


@pytest.fixture
def link(port: Port) -> Iterator[SerialLink]:
    made = SerialLink(port.url, reply=Line(b"\r\n"), timeout=0.2)
    made.open()
    yield made
    made.safety.retract(made)
    made.close()
    if latch.tripped:
        reset("the test is over", force=True)


def asked(name: str, **settings) -> SafeState:
    """A device that is safe when it answers its own name."""
    halt = f"off {name}\r".encode()
    given = {"preempt": True, "end": b"\r\n", "seconds": 0.3, "reply_timeout": 0.1, "safe": name, **settings}
    return SafeState(name, halt, **{"question": f"Q{name}\r".encode(), **given})


async def test_a_command_that_waited_when_everything_was_stopped_is_refused_at_the_wire(link: SerialLink, port: Port):
    link.safety.declare(link, lambda: [asked("x")])
    port.faults = Faults(mute=True)
    pending = link.submit(b"Qheld\r", safe=True)
    await until(lambda: b"Qheld" in port.log.bytes())
    moving = link.submit(b"move 5\r", reply=False)  # accepted: nothing is stopped yet
    stop_all("smoke")
    assert pending.exception(5) is not None
    assert isinstance(moving.exception(5), StopLatched)
    assert b"move" not in port.log.bytes()
    assert b"off x" in port.log.bytes()


def test_a_bus_with_many_silent_devices_gives_a_verdict_for_each(link: SerialLink, port: Port):
    names = ["x", *(f"silent{n}" for n in range(6))]
    silent = [asked(name, question=f"?{name}\r".encode()) for name in names[1:]]  # the echo answers only to Q
    link.safety.declare(link, lambda: [*silent, asked("x")])
    found = {verdict.device: verdict for verdict in stop_all("smoke").verdicts}
    assert found["x"].outcome is Outcome.CONFIRMED
    assert {found[name].outcome for name in names[1:]} == {Outcome.UNREACHABLE}
    assert "no answer in time" not in str(found)
    assert port.log.bytes().count(b"off silent5") >= 2  # the halt, and a second one


def test_a_reset_only_asks(link: SerialLink, port: Port):
    link.safety.declare(link, lambda: [asked("x", safe="y", abort=b"abort\r", power_off=b"power off\r")])
    stop_all("smoke")
    assert b"power off" in port.log.bytes()
    before = len(port.log.bytes())
    with pytest.raises(Exception, match="x: unconfirmed"):
        reset("looked")
    assert set(port.log.bytes()[before:].split(b"\r")) == {b"Qx", b""}
