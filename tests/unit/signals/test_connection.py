"""State and statistics of a link as signals of the device at its other end."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

import pytest
from ophyd_async.core import SignalR, SignalRW, StandardReadable, init_devices
from ophyd_async.core import StandardReadableFormat as Format
from parts import Echo, until

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Line, LinkState, SerialLink, open_links
from rdaq_ophyd.signals import Ask, Connection, ConnectionState, LineProtocol, LinkDevice
from rdaq_ophyd.sim import Faults, Port, serve_pty


class Talker(LinkDevice, StandardReadable):
    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=0.2)
    heartbeat = "Qbeat"
    heartbeat_period = 0.02
    word: Annotated[SignalR[str], Ask("Qword", initial="mock"), Format.HINTED_UNCACHED_SIGNAL]
    level: Annotated[SignalRW[float], Ask("Q1.5", "L{value}"), Format.CONFIG_SIGNAL]


class Pair(LinkDevice, StandardReadable):
    protocol = Talker.protocol

    def __init__(self, link: str, name: str = "") -> None:
        with self.add_children_as_readables():
            self.left = Talker(link, 1)
            self.right = Talker(link, 2)
        super().__init__(link, None, name)


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as served:
        yield served


def test_the_states_are_those_of_links():
    assert [state.value for state in ConnectionState] == [state.value for state in LinkState]


async def test_statistics_are_signals_with_units_and_no_readings_of_the_device(port: Port):
    async with init_devices():
        talker = Talker(port.url)
    connection = talker.connection
    assert isinstance(connection, Connection)
    assert connection.parent is talker
    assert connection.name == "talker-connection"
    assert await connection.state.get_value() is ConnectionState.CONNECTED
    before = await connection.exchanges.get_value()
    await talker.word.get_value()
    assert await connection.exchanges.get_value() > before
    assert 0 < await connection.latency_p50.get_value() <= await connection.latency_max.get_value()
    key = (await connection.rate.describe())["talker-connection-rate"]
    assert (key["dtype"], key["units"], key["precision"]) == ("number", "1/s", 1)
    assert key["source"] == f"link:{port.url} rate"
    assert (await connection.state.describe())["talker-connection-state"]["choices"][0] == "closed"
    assert list(await talker.read()) == ["talker-word"]
    assert list(await talker.read_configuration()) == ["talker-level"]
    with pytest.raises(LimitError, match="timeouts: cannot be set"):
        await connection.timeouts._connector.backend.put(0)
    talker.close()
    assert await connection.state.get_value() is ConnectionState.CLOSED
    assert await connection.exchanges.get_value() == 0


async def test_state_is_there_before_connecting_and_followed_through(port: Port):
    talker = Talker(port.url, name="t")
    seen: list[tuple[str, int]] = []
    talker.connection.state.subscribe_reading(
        lambda r: seen.append((r["t-connection-state"]["value"].value, r["t-connection-state"]["alarm_severity"]))
    )
    await until(lambda: seen == [("closed", 3)])
    await talker.connect()
    await until(lambda: seen[-1] == ("connected", 0))
    port.faults = Faults(mute=True)
    await until(lambda: seen[-1] == ("mute", 2))
    port.faults = Faults()
    await until(lambda: seen[-1] == ("connected", 0))
    talker.close()
    await until(lambda: seen[-1] == ("closed", 3))
    talker.connection.state._del_cache(False)


async def test_counts_are_followed_while_somebody_is_subscribed(port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.signals._statistic.PERIOD", 0.01)
    talker = Talker(port.url, name="t")
    await talker.connect()
    counts: list[int] = []
    talker.connection.exchanges.subscribe_reading(lambda r: counts.append(r["t-connection-exchanges"]["value"]))
    await until(lambda: counts)
    await asyncio.gather(*(talker.word.get_value() for _ in range(3)))
    await until(lambda: counts[-1] > counts[0])
    talker.connection.exchanges._del_cache(False)
    talker.close()


async def test_parts_on_the_same_link_share_the_connection_of_the_whole(port: Port):
    pair = Pair(port.url, name="pair")
    assert pair.left.connection is pair.right.connection is pair.connection
    assert [name for name, _ in pair.children()] == ["left", "right", "connection"]
    assert "connection" not in dict(pair.left.children())
    await pair.connect()
    assert pair.connection.state.name == "pair-connection-state"
    assert not {"_own_connection"} & (pair.left.__dict__.keys() | pair.right.__dict__.keys())  # none is made for parts
    assert await pair.left.connection.state.get_value() is ConnectionState.CONNECTED
    pair.close()
    assert open_links() == ()


async def test_a_connection_has_the_name_that_its_device_gets_later():
    early, late = Talker("/dev/one"), Talker("/dev/two")
    connection = early.connection
    assert connection.state.name == ""
    for talker in (early, late):
        talker.set_name("talker")
        assert talker.connection.state.name == "talker-connection-state"
        assert talker.connection.parent is talker
    assert early.connection is connection


async def test_a_part_on_another_link_has_its_own():
    pair = Pair("/dev/one")
    pair.other = Talker("/dev/two")
    assert pair.other.connection is not pair.connection
    assert dict(pair.other.children())["connection"] is pair.other.connection


async def test_mock_mode_is_connected():
    async with init_devices(mock=True):
        talker = Talker("/dev/not-there")
    assert await talker.connection.state.get_value() is ConnectionState.CONNECTED
    assert await talker.connection.exchanges.get_value() == 0
    key = (await talker.connection.latency_p99.describe())["talker-connection-latency_p99"]
    assert key["units"] == "s"


async def test_a_link_of_the_callers_is_shown_but_not_opened_again(port: Port):
    link = SerialLink(port.url)
    talker = Talker(link, name="t")
    await talker.connect()
    assert not link.reopening
    port.disconnect()
    await until(lambda: link.state is LinkState.LOST)
    assert await talker.connection.state.get_value() is ConnectionState.LOST
    talker.close()
    link.close()
