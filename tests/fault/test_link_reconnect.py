"""An instrument whose cable is pulled and plugged in again."""

import asyncio
import contextlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from parts import until

from rdaq_ophyd import stop
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.errors import LinkClosed, PortNotFound
from rdaq_ophyd.link import LinkState, open_links
from rdaq_ophyd.signals import LinkDevice
from rdaq_ophyd.sim import Faults, SimEsp300, SimNewport1830C, serve_pty

MOTION = re.compile(rb"\d(PA|PR|OR|MV|MO|DH)[^?]")
"""What makes an ESP300 move, or takes its position or power for something else."""


@pytest.fixture
def by_id(tmp_path: Path) -> Path:
    return tmp_path / "usb-ESP300"


@pytest.fixture
def port(by_id: Path):
    with serve_pty(SimEsp300(), lift_baud=True, link=by_id) as port:
        yield port


@contextlib.asynccontextmanager
async def connected(device):
    await device.connect()
    try:
        yield device
    finally:
        device.close()
        assert open_links() == ()


async def back(device, times: int = 1) -> None:
    """Until its link was accepted so many times, and everything that follows from that is done."""
    parts = [device, *(child for _, child in device.children() if isinstance(child, LinkDevice))]
    members = [part._link_connector._member for part in parts]
    await until(lambda: device.channel.link.statistics.reopened == times)
    await until(lambda: not any(member._before for member in members))


def exchange_stage(port, number: int) -> None:
    """Plug another stage of the same model into the controller, while its cable is pulled."""
    axis = port.instrument.axes[number]
    port.disconnect()
    port.call(lambda now: setattr(axis, "stage", replace(axis.stage, serial="9999")))


def lose_power(port) -> None:
    """Pull the cable of a controller that forgets its settings meanwhile."""
    port.disconnect()
    port.call(lambda now: setattr(port, "instrument", SimEsp300()))


async def test_a_cable_pulled_in_mid_move_fails_the_move_and_connecting_again_repairs(by_id: Path, port):
    axis = Esp300Axis(str(by_id), 1, "x")
    await axis.connect()
    await axis.enabled.set(True)
    status = axis.set(20.0)
    await until(lambda: b"1PA" in port.log.bytes())
    port.disconnect()
    with pytest.raises(LinkClosed, match="stopped working|is gone"):
        await status
    with pytest.raises(LinkClosed):
        await axis.stop()
    with pytest.raises(PortNotFound, match="no such port"):
        await axis.connect(force_reconnect=True)
    port.reconnect()
    moves = port.log.bytes().count(b"1PA")
    await axis.connect(force_reconnect=True)
    # Nothing that moves is ever repeated by itself.
    assert port.log.bytes().count(b"1PA") == moves
    await axis.stop()
    await axis.set(0.5)
    axis.close()
    assert open_links() == ()


async def test_an_idle_link_is_lost_at_once_and_comes_back_by_itself(by_id: Path, port):
    async with connected(Esp300(str(by_id), {1: "x", 2: "y"}, name="stage")) as stage:
        await stage.x.enabled.set(True)
        await stage.x.set(0.5)
        states: list[tuple[str, int]] = []
        stage.connection.state.subscribe_reading(
            lambda r: states.append(
                (r["stage-connection-state"]["value"].value, r["stage-connection-state"]["alarm_severity"])
            )
        )
        await until(lambda: states == [("connected", 0)])
        port.disconnect()
        await until(lambda: ("lost", 3) in states)
        with pytest.raises(LinkClosed):
            await stage.x.readback.get_value()
        sent = len(port.log.bytes())
        port.reconnect()
        await until(lambda: states[-1] == ("connected", 0))
        assert list(dict.fromkeys(states)) == [("connected", 0), ("lost", 3), ("checking", 2)]
        await back(stage)
        assert not MOTION.search(port.log.bytes()[sent:])
        assert await stage.x.readback.get_value() == pytest.approx(0.5, abs=0.01)
        assert await stage.connection.lost.get_value() == await stage.connection.reopened.get_value() == 1
        stage.connection.state._del_cache(False)


async def test_a_move_in_flight_fails_visibly_and_is_not_repeated(by_id: Path, port):
    async with connected(Esp300(str(by_id), {1: "x"}, name="stage")) as stage:
        await stage.x.enabled.set(True)
        await stage.x.velocity.set(0.5)
        status = stage.x.set(20.0)
        await until(lambda: b"1PA" in port.log.bytes())
        port.disconnect()
        with pytest.raises(LinkClosed, match="last exchange"):
            await status
        sent = len(port.log.bytes())
        port.reconnect()
        await back(stage)
        assert not MOTION.search(port.log.bytes()[sent:])


async def test_only_declared_settings_that_the_instrument_lost_are_written_again(
    by_id: Path, port, caplog: pytest.LogCaptureFixture
):
    async with connected(Esp300(str(by_id), {1: "x"}, name="stage")) as stage:
        await stage.x.enabled.set(True)
        await stage.x.velocity.set(0.5)
        await stage.x.set(0.25)
        factory = await stage.x.acceleration.get_value()
        # A pulled cable alone loses nothing: nothing is written.
        port.disconnect()
        port.reconnect()
        await back(stage)
        assert port.log.bytes().count(b"1VA0.5") == 1
        # Neither is what somebody set by hand meanwhile, and this process saw.
        port.call(lambda now: port.instrument.axes[1].values.__setitem__("VA", 0.75))
        assert await stage.x.velocity.get_value() == 0.75
        port.disconnect()
        port.reconnect()
        await back(stage, 2)
        assert port.log.bytes().count(b"1VA0.5") == 1
        await stage.x.velocity.set(0.5)
        lose_power(port)
        sent = len(port.log.bytes())
        port.reconnect()
        await back(stage, 3)
        assert port.log.bytes()[sent:].count(b"1VA0.5") == 1
        assert not MOTION.search(port.log.bytes()[sent:])
        assert await stage.x.velocity.get_value() == 0.5
        assert await stage.x.acceleration.get_value() == factory
        assert b"1AC" not in port.log.bytes().replace(b"1AC?", b"")
        assert "stage-x-enabled: is False since its link came back, True was written before" in caplog.text
        assert "stage-x-velocity: is" in caplog.text


async def test_nothing_is_restored_while_everything_is_stopped(by_id: Path, port, caplog: pytest.LogCaptureFixture):
    async with connected(Esp300(str(by_id), {1: "x"}, name="stage")) as stage:
        await stage.x.velocity.set(0.5)
        lose_power(port)
        await until(lambda: stage.channel.link.state is LinkState.LOST)
        await asyncio.to_thread(stop.stop_all, "a test")
        sent = len(port.log.bytes())
        port.reconnect()
        await back(stage)
        assert b"1VA0.5" not in port.log.bytes()[sent:]
        # The halt that was missed goes before all that is asked of the accepted instrument.
        assert b"ST\r" in port.log.bytes()[sent:]
        assert "stage-x-velocity: lost its setting 0.5" in caplog.text


async def test_another_instrument_on_the_port_is_refused(by_id: Path, port, caplog: pytest.LogCaptureFixture):
    async with connected(Esp300(str(by_id), {1: "x"}, name="stage")) as stage:
        port.disconnect()
        with serve_pty(SimNewport1830C(), lift_baud=True, link=by_id) as meter:
            # A power meter does not even know the question.
            await until(lambda: "the port is back, but not its instrument" in caplog.text)
            assert stage.channel.link.state is LinkState.CHECKING
            with pytest.raises(LinkClosed):
                await stage.x.velocity.set(1.0)
            reading = (await stage.connection.state.read())["stage-connection-state"]
            assert reading["alarm_severity"] == 2
            assert b"VA" not in meter.log.bytes()
            assert not MOTION.search(meter.log.bytes())


async def test_the_same_model_with_another_serial_number_is_another_instrument(by_id: Path, port):
    async with connected(Esp300(str(by_id), {1: "x", 2: "y"}, name="stage")) as stage:
        was = port.instrument.axes[2].stage
        exchange_stage(port, 2)
        port.reconnect()
        await until(lambda: stage.channel.link.state is LinkState.WRONG)
        reading = (await stage.connection.state.read())["stage-connection-state"]
        assert (reading["value"], reading["alarm_severity"]) == ("wrong instrument", 3)
        with pytest.raises(LinkClosed, match=rf"another instrument.*9999.*{was.serial}"):
            await stage.x.readback.get_value()
        # Exchanged on purpose: connecting the device again takes the new one.
        await stage.connect(force_reconnect=True)
        assert await stage.connection.state.get_value() == "connected"


async def test_an_instrument_that_starts_up_slowly_is_waited_for(by_id: Path, port):
    async with connected(Esp300Axis(str(by_id), 1, "x")) as axis:
        port.disconnect()
        port.faults = Faults(mute=True)
        port.reconnect()
        await until(lambda: axis.channel.link.state is LinkState.CHECKING)
        await until(lambda: axis.channel.link.statistics.timeouts)
        port.faults = Faults()
        await back(axis)
        assert await axis.done.get_value() is True


async def test_devices_that_share_a_port_are_checked_together(by_id: Path, port):
    async with connected(Esp300Axis(str(by_id), 1, "x")) as x:
        y = Esp300Axis(str(by_id), 2, "y")
        await y.connect()
        exchange_stage(port, 2)
        port.reconnect()
        await until(lambda: x.channel.link.state is LinkState.WRONG)
        with pytest.raises(LinkClosed, match="another instrument"):
            await x.readback.get_value()
        y.close()


def test_a_loop_that_is_gone_does_not_disturb_the_link(by_id: Path, port, caplog: pytest.LogCaptureFixture):
    axis = Esp300Axis(str(by_id), 1, "x")

    async def connect() -> None:
        await axis.connect()
        axis.connection.state.subscribe_reading(lambda _: None)
        await axis.connection.state.get_value(cached=True)

    asyncio.run(connect())
    (link,) = open_links()
    for _ in range(2):
        port.disconnect()
        asyncio.run(until(lambda: link.state is LinkState.LOST))
        port.reconnect()
        asyncio.run(until(lambda: link.state is LinkState.CHECKING))
    assert caplog.text.count("the event loop of its devices is gone") == 1
    assert caplog.text.count("nobody hears any more that it is") == 1

    async def again() -> float:
        await axis.connect(force_reconnect=True)
        return await axis.readback.get_value()

    assert asyncio.run(again()) == 0.0
    axis.close()
    assert open_links() == ()
