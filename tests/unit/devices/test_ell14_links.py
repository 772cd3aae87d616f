"""An ELL14 is recognised when it is connected, and again when its link was lost and came back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from connected import connected
from parts import until
from rotators import motions, moving

from rdaq_ophyd.devices.ell14 import Ell14
from rdaq_ophyd.errors import LinkClosed, ReplyTimeout, WrongInstrument
from rdaq_ophyd.link import LinkState, SerialSettings, open_links
from rdaq_ophyd.sim import Faults, Port, SimEll14, SimNewport1830C, serve_pty, serve_tcp


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with serve_pty(SimEll14("03", speed=4.0), lift_baud=True, link=tmp_path / "ell14") as served:
        yield served


@pytest.fixture
async def mount(port: Port) -> AsyncIterator[Ell14]:
    async with connected(Ell14(port.url, "0", "mount", limits=(-360.0, 360.0))) as mount:
        yield mount


@pytest.fixture
def short_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for two seconds until a device drops half a packet: there is none."""
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_rotator.PACKET_GAP", 0.05)


async def test_the_heartbeat_follows_to_another_address(port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Ell14, "heartbeat_period", 0.05)
    mount = Ell14(port.url, "0", "mount")
    await mount.connect()
    await mount.change_address("5")
    since = len(port.log.bytes())
    await until(lambda: port.log.bytes()[since:].count(b"5gp") > 3)
    assert b"0gp" not in port.log.bytes()[since:]
    assert b"gs" not in port.log.bytes()[since:]  # which would take an error away
    mount.close()


async def test_at_the_true_baud_rate_and_at_a_wrong_one(short_gap: None):
    with serve_pty(SimEll14("0"), strict_baud=True) as port:
        mount = Ell14(port.url, name="mount")
        await mount.connect()
        await mount.set(15.0)
        mount.close()
        wrong = Ell14(port.url, name="mount", serial=SerialSettings(19200))
        with pytest.raises(ReplyTimeout, match="baud rate"):
            await wrong.connect()


async def test_half_a_packet_of_an_earlier_program_does_not_disturb_connecting(port: Port):
    port.call(lambda now: port.instrument.feed(b"0ma0000", now))
    mount = Ell14(port.url, "0", "mount")
    await mount.connect()
    mount.close()
    assert motions(port) == []


async def test_what_is_no_ell14_is_refused(short_gap: None):
    with serve_pty(SimEll14("0"), lift_baud=True) as port:
        real = port.instrument.execute
        for said, told in (
            (b"0IN121140051720231701016800023000\r\n", "it is an ELL18"),
            (b"0IN0E11400517yyyy1701016800023000\r\n", "no reply|only"),
            (b"0IN0E114005172A231701016800023000\r\n", "to 'in' it said '0IN0E"),
            (b"0IN0E1140051720231701000000023000\r\n", "to 'in' it said '0IN0E"),
            (b"0GS05\r\n", "to 'in' it said '0GS05'"),
        ):
            port.instrument.execute = lambda command, now, said=said: said if "in" in command else real(command, now)
            with pytest.raises((WrongInstrument, ReplyTimeout), match=told):
                await Ell14(port.url, name="mount").connect(timeout=20)
    with serve_pty(SimNewport1830C(), lift_baud=True) as port, pytest.raises(ReplyTimeout, match="no reply to b'0in"):
        await Ell14(port.url, name="mount").connect(timeout=20)
    assert open_links() == ()


async def test_a_link_that_comes_back_brings_the_velocity_and_no_move(mount: Ell14, port: Port):
    await mount.velocity.set(60)
    await mount.set(20.0)
    port.disconnect()
    await until(lambda: mount.channel.link.state is LinkState.LOST)
    port.call(port.instrument.power_cycle)
    since = len(port.log.bytes())
    port.reconnect()
    await until(lambda: b"0sv3C" in port.log.bytes()[since:])
    assert await mount.velocity.get_value() == 60
    assert len(motions(port)) == 1


async def test_a_move_that_loses_its_link_is_not_sent_again(mount: Ell14, port: Port):
    await mount.velocity.set(25)
    status = mount.set(300.0)
    await until(lambda: moving(port))
    port.disconnect()
    with pytest.raises(
        LinkClosed,
        match=r"mount: lost on its way to 300; it was seen \d\.\d s ago at .* deg; a move that began runs to its end",
    ):
        await status
    port.reconnect()
    await until(lambda: mount.channel.link.state is LinkState.CONNECTED)
    await until(lambda: not moving(port))
    assert len(motions(port)) == 1
    await mount.set(0.0)


async def test_another_mount_at_the_same_address_is_refused(mount: Ell14, port: Port):
    port.disconnect()
    port.call(lambda now: setattr(port.instrument.rotators["0"], "serial", "99999999"))
    port.reconnect()
    await until(lambda: mount.channel.link.state is LinkState.WRONG)
    with pytest.raises(LinkClosed, match="another instrument"):
        await mount.set(1.0)


@pytest.mark.parametrize("scheme", ["socket", "tcp"])
async def test_behind_a_serial_server(scheme: str):
    with serve_tcp(SimEll14("05")) as port:
        url = port.url.replace("socket", scheme)
        one, other = Ell14(url, "0", "one"), Ell14(url, "5", "other")
        await one.connect()
        await other.connect()
        await asyncio.gather(one.set(20.0), other.set(-20.0))
        assert (await other.locate())["readback"] == pytest.approx(-20.0, abs=0.01)
        one.close()
        other.close()


async def test_an_address_that_changed_although_nothing_was_heard_of_it(mount: Ell14, port: Port):
    real = port.instrument._set

    def lose(place, name, data, now):
        if name == "ca":
            port._line.set_faults(Faults(mute=True), now)
            threading.Timer(0.1, lambda: setattr(port, "faults", Faults())).start()
        return real(place, name, data, now)

    port.instrument._set = lose
    await mount.change_address("9")
    await mount.set(5.0)
    assert motions(port)[-1].startswith(b"9ma")
    port.instrument._set = lambda place, name, data, now: None
    with pytest.raises(ReplyTimeout):
        await mount.change_address("8")
    assert mount.address == "9"
