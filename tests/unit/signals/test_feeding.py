"""An instrument's own watchdog: fed by a healthy event loop, starved by one that hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import ClassVar

import pytest
from parts import Echo, until

from rdaq_ophyd.link import Line, SerialSettings
from rdaq_ophyd.signals import LineProtocol, LinkDevice
from rdaq_ophyd.sim import Faults, serve_pty


class Laser(LinkDevice):
    """Switches itself off when nobody asks."""

    protocol: ClassVar[LineProtocol] = LineProtocol("\r", Line(b"\r\n"), 0.2, SerialSettings(115_200))
    feed: ClassVar[str] = "Qalive"
    feed_period: ClassVar[float] = 0.01


class Both(Laser):
    heartbeat: ClassVar[str] = "Qthere"


@pytest.fixture
def port():
    with serve_pty(Echo(), lift_baud=True) as made:
        yield made


def fed(port) -> int:
    return port.log.bytes().count(b"Qalive")


async def test_fed_from_connect_to_close(port):
    laser = Laser(port.url, name="laser")
    await laser.connect()
    await until(lambda: fed(port) > 3)
    laser.close()
    await until(lambda: not [t for t in threading.enumerate() if t.name.startswith("rdaq-link ")])
    count = fed(port)
    with pytest.raises(AssertionError):
        await _within(lambda: fed(port) > count)


async def test_a_loop_that_hangs_feeds_nobody(port):
    laser = Laser(port.url, name="laser")
    await laser.connect()
    await until(lambda: fed(port) > 3)
    while laser.channel.link.statistics.queued:
        pass
    time.sleep(0.05)  # noqa: ASYNC251  the hang itself: what was asked before it has arrived
    count = fed(port)
    time.sleep(0.3)  # noqa: ASYNC251  thirty periods
    assert fed(port) == count
    await until(lambda: fed(port) > count)
    laser.close()


async def test_a_mute_instrument_is_told_once_and_fed_again_when_it_is_back(port, caplog):
    laser = Laser(port.url, name="laser")
    await laser.connect()
    port.faults = Faults(mute=True)
    await until(lambda: "its watchdog is not fed" in caplog.text)
    port.faults = Faults()
    exchanges = laser.channel.link.statistics.exchanges
    await until(lambda: laser.channel.link.statistics.exchanges > exchanges + 3)
    assert caplog.text.count("its watchdog is not fed") == 1
    laser.close()


async def test_a_heartbeat_beside_it_is_refused(port):
    with pytest.raises(TypeError, match="Both: a device with a feed has no heartbeat"):
        await Both(port.url, name="laser").connect()


async def _within(condition) -> None:
    """Like ``until``, for what must not happen: thirty periods."""
    for _ in range(30):
        if condition():
            return
        await asyncio.sleep(Laser.feed_period)
    raise AssertionError("it did not happen")
