"""An ESP300 axis that was moving when its link was lost is told to stop when the link is back, and nothing else is."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from connected import motors_on
from ophyd_async.core import FlyMotorInfo
from parts import until

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.errors import LinkClosed
from rdaq_ophyd.link import LinkState
from rdaq_ophyd.sim import Port, SimEsp300, serve_pty


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with serve_pty(SimEsp300(), lift_baud=True, link=tmp_path / "esp300") as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(port, {1: "x", 2: "y"}) as esp:
        await esp.x.velocity.set(1.0)
        yield esp


async def lose_in_mid_move(esp: Esp300, port: Port) -> None:
    status = esp.x.set(20.0)
    await until(lambda: b"1MD?" in port.log.bytes().partition(b"1PA")[2])
    port.disconnect()
    with pytest.raises(LinkClosed, match="esp-x: lost on its way to 20; .*may still be moving"):
        await status


def moving(port: Port) -> bool:
    return port.call(lambda now: port.instrument.axes[1].done_at() > now)


async def test_when_the_link_comes_back_by_itself(esp: Esp300, port: Port, caplog: pytest.LogCaptureFixture):
    await lose_in_mid_move(esp, port)
    assert moving(port)
    since = len(port.log.bytes())
    port.reconnect()
    await until(lambda: b"1ST\r" in port.log.bytes()[since:])
    await until(lambda: not moving(port))
    wire = port.log.bytes()[since:]
    assert b"PA" not in wire
    assert b"2ST" not in wire
    assert "esp-x (axis 1): may have been moving" in caplog.text
    await until(lambda: esp.channel.link.state is LinkState.CONNECTED)
    assert await esp.x.now(esp.x.readback) < 15


async def test_a_fly_move_that_lost_its_link_is_stopped_and_its_velocity_given_back_later(esp: Esp300, port: Port):
    await esp.x.prepare(FlyMotorInfo(start_position=0.0, end_position=20.0, time_for_move=10.0))
    await esp.x.kickoff()
    port.disconnect()
    with pytest.raises(LinkClosed, match="esp-x: lost on its way to 20.* at constant velocity; .*may still be moving"):
        await esp.x.complete()
    assert moving(port)
    since = len(port.log.bytes())
    port.reconnect()
    await until(lambda: not moving(port))
    await until(lambda: esp.channel.link.state is LinkState.CONNECTED)
    assert b"1ST\r" in port.log.bytes()[since:]
    await esp.x.stop()
    await esp.x.set(await esp.x.now(esp.x.readback))
    wire = port.log.bytes()[since:]
    assert 0 < wire.find(b"1VA1.000000\r") < wire.find(b"1PA")
    assert await esp.x.velocity.get_value() == 1.0


async def test_when_it_is_connected_again_by_hand(esp: Esp300, port: Port):
    esp.channel.link.reopening = False
    await lose_in_mid_move(esp, port)
    since = len(port.log.bytes())
    port.reconnect()
    await esp.connect(force_reconnect=True)
    assert b"1ST\r" in port.log.bytes()[since:]
    await until(lambda: not moving(port))


async def test_a_stop_that_found_no_link_is_made_up_for_and_only_once(esp: Esp300, port: Port):
    esp.channel.link.reopening = False
    port.disconnect()
    await until(lambda: esp.channel.link.state is LinkState.LOST)
    with pytest.raises(LinkClosed):
        await esp.stop()
    for times in (1, 0):
        since = len(port.log.bytes())
        port.reconnect()
        await esp.connect(force_reconnect=True)
        assert [port.log.bytes()[since:].count(stop) for stop in (b"1ST\r", b"2ST\r")] == [times, times]
        port.disconnect()
        await until(lambda: esp.channel.link.state is LinkState.LOST)


async def test_positions_in_another_unit_are_those_of_another_instrument(
    esp: Esp300, port: Port, caplog: pytest.LogCaptureFixture
):
    port.disconnect()
    port.call(lambda now: setattr(port.instrument.axes[2], "unit", 3))
    port.reconnect()
    await until(lambda: esp.channel.link.state is LinkState.WRONG)
    assert "esp-y: on " in caplog.text
    with pytest.raises(LinkClosed, match="another instrument"):
        await esp.x.set(1.0)
    await esp.connect(force_reconnect=True)
    assert (await esp.y.describe())["esp-y"]["units"] == "um"
