"""A Mai Tai whose owner hangs, whose cable is pulled, whose replies are garbage: no light by itself, ever."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from connected import connected
from lasers import QuickMaiTai, light, quick_laser, state
from parts import until
from watched import gone, wait

from rdaq_ophyd.devices import _maitai_switch
from rdaq_ophyd.errors import BadReply, EmissionRefused, LinkClosed, RdaqError, ReplyTimeout
from rdaq_ophyd.link import LinkState
from rdaq_ophyd.sim import Faults, Port, serve_pty
from rdaq_ophyd.stop import Outcome, read_record, stop_all

OWNER = Path(__file__).parents[1] / "lib" / "laser_owner.py"
LIGHT = re.compile(rb"(?m)^(ON|SHUTter 1)$")
"""What makes light."""


@pytest.fixture
def by_id(tmp_path: Path) -> Path:
    return tmp_path / "usb-MaiTai"


@pytest.fixture
def port(by_id: Path) -> Iterator[Port]:
    with serve_pty(quick_laser(), lift_baud=True, link=by_id) as port:
        yield port


def watched(url: Path, **settings) -> QuickMaiTai:
    return QuickMaiTai(str(url), "laser", **({"watchdog": 1} | settings))


async def back(laser: QuickMaiTai, times: int = 1) -> None:
    """Until its link was accepted so many times, and the laser was looked at."""
    await until(lambda: laser.channel.link.statistics.reopened == times)
    await until(lambda: laser.channel.link.state is LinkState.CONNECTED)


async def test_a_healthy_loop_keeps_the_pump_on(by_id: Path, port: Port):
    async with connected(watched(by_id)) as laser:
        await light(laser)
        exchanges = port.log.bytes().count(b"*STB?")
        await asyncio.sleep(1.3)  # longer than the watchdog's second, with nothing asked
        assert state(port) == (True, True)
        assert port.log.bytes().count(b"*STB?") >= exchanges + 5


async def test_a_loop_that_hangs_starves_the_watchdog(by_id: Path, port: Port):
    async with connected(watched(by_id)) as laser:
        await light(laser)
        time.sleep(1.5)  # noqa: ASYNC251  the hang itself
        await until(lambda: not state(port)[0])
        sent = len(port.log.bytes())
        await asyncio.sleep(0.3)
        # Fed again, it stays off until somebody arms it and switches it on.
        assert not state(port)[0]
        assert not LIGHT.search(port.log.bytes()[sent:])
        with pytest.raises(EmissionRefused, match="not armed"):
            await laser.emission.set(True)
        await light(laser)
        assert state(port) == (True, True)


async def test_the_watchdog_is_never_taken_back(by_id: Path, port: Port):
    async with connected(watched(by_id)) as laser:
        await light(laser)
    await until(lambda: not state(port)[0])  # the session is over: nobody feeds it
    assert re.findall(rb"TIMer:WATChdog (\S+)", port.log.bytes()) == [b"1"]


def test_a_killed_session_leaves_no_light(by_id: Path, port: Port, tmp_path: Path):
    """The watchdog process closes the shutter; the laser's own switches the pump off."""
    command = [sys.executable, str(OWNER), str(by_id), str(tmp_path / "lab")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as owner:
        said = owner.stdout.readline().split()
        try:
            assert said, owner.stderr.read()
            assert state(port) == (True, True)
        finally:
            owner.kill()
        wait(lambda: gone(int(said[1])), "the watchdog has ended")
        wait(lambda: state(port) == (False, False), "it is dark")
    assert {v["device"]: v["outcome"] for v in read_record(tmp_path / "lab")["verdicts"]} == {"laser": "confirmed"}
    assert b"OFF\n" not in port.log.bytes()  # not configured: its own watchdog did that


async def test_a_short_loss_changes_nothing(by_id: Path, port: Port, caplog: pytest.LogCaptureFixture):
    async with connected(watched(by_id, watchdog=30)) as laser:
        await light(laser)
        await laser.armed.set(True)
        port.disconnect()
        await until(lambda: laser.channel.link.state is LinkState.LOST)
        with pytest.raises(LinkClosed):
            await laser.shutter.set(False)
        sent = len(port.log.bytes())
        port.reconnect()
        await back(laser)
        assert await laser.emission.get_value() is await laser.shutter.get_value() is True
        assert not LIGHT.search(port.log.bytes()[sent:])
        assert port.log.bytes()[sent:].count(b"TIMer:WATChdog 30\n") == 1  # the laser may have lost its power
        assert await laser.armed.get_value() is False
        assert "it stays so" not in caplog.text


async def test_after_a_long_loss_the_laser_stays_off(by_id: Path, port: Port, caplog: pytest.LogCaptureFixture):
    async with connected(watched(by_id)) as laser:
        await light(laser)
        port.disconnect()
        await until(lambda: not state(port)[0])  # its watchdog
        port.call(lambda now: setattr(port, "instrument", quick_laser()))  # and somebody pulled the mains
        sent = len(port.log.bytes())
        port.reconnect()
        await back(laser)
        await until(lambda: caplog.text.count("it stays so") == 2)
        assert "laser-emission: is False since its link came back, was True before; it stays so" in caplog.text
        assert not LIGHT.search(port.log.bytes()[sent:])
        assert state(port) == (False, False)
        with pytest.raises(EmissionRefused):
            await laser.emission.set(True)


async def test_a_command_for_light_in_flight_is_taken_back_and_not_repeated(
    by_id: Path, port: Port, caplog: pytest.LogCaptureFixture
):
    async with connected(watched(by_id, watchdog=30)) as laser:
        port.faults = Faults(mute=True)
        opening = laser.shutter.set(True)
        await until(lambda: b"SHUTter 1" in port.log.bytes())
        port.disconnect()
        port.faults = Faults()
        with pytest.raises(LinkClosed) as lost:
            await opening
        assert "'SHUTter 0' could not be sent, and is sent when the laser is back" in lost.value.__notes__[0]
        await until(lambda: state(port)[1])  # it had heard the command
        port.reconnect()
        await back(laser)
        await until(lambda: state(port) == (False, False))
        assert "while it was to be True; sending 'SHUTter 0'" in caplog.text
        assert port.log.bytes().count(b"SHUTter 1") == 1
        await laser.shutter.set(True)  # and is as good as before


async def test_another_laser_on_the_port_is_refused(by_id: Path, port: Port, monkeypatch: pytest.MonkeyPatch):
    async with connected(watched(by_id)) as laser:
        port.disconnect()
        monkeypatch.setattr("rdaq_ophyd.sim.maitai.IDENTITY", "Spectra Physics,MaiTai,another,0245-2.00.34")
        port.reconnect()
        await until(lambda: laser.channel.link.state is LinkState.WRONG)
        await laser.armed.set(True)
        with pytest.raises(LinkClosed, match="another instrument"):
            await laser.emission.set(True)
        assert not LIGHT.search(port.log.bytes())


@pytest.mark.parametrize("garbage", [b"nonsense\n", b"\xff\xfe\n", b"\n", b"2\n", b"-1\n"])
async def test_garbage_is_no_state(by_id: Path, port: Port, garbage: bytes):
    async with connected(watched(by_id, watchdog=30)) as laser:
        execute = port.instrument.execute
        port.instrument.execute = lambda command, now: garbage if execute(command, now) else None
        for ask in (laser.shutter, laser.power, laser.wavelength.readback, laser.warmup):
            with pytest.raises((BadReply, ReplyTimeout)):
                await ask.get_value()
        with pytest.raises(RdaqError):
            await laser.shutter.set(True)
        port.instrument.execute = execute
        assert await laser.shutter.get_value() in {True, False}
        await laser.shutter.set(False)


async def test_a_reply_that_spoils_the_confirmation_closes_the_shutter_again(by_id: Path, port: Port):
    async with connected(watched(by_id, watchdog=30)) as laser:
        execute = port.instrument.execute
        port.instrument.execute = lambda command, now: (
            b"maybe\n" if command.startswith("SHUTter?") else execute(command, now)
        )
        with pytest.raises(BadReply, match=r"laser-shutter: .*answered 'maybe'") as told:
            await laser.shutter.set(True)
        assert told.value.__notes__ == ["laser: 'SHUTter 0' was sent, since nobody knows whether it followed"]
        port.instrument.execute = execute
        await until(lambda: b"SHUTter 0\n" in port.log.bytes())
        await until(lambda: state(port) == (False, False))


async def test_a_mute_laser_is_told_to_close_and_not_confirmed(
    by_id: Path, port: Port, monkeypatch: pytest.MonkeyPatch
):
    async with connected(watched(by_id, watchdog=30)) as laser:
        await light(laser)
        port.faults = Faults(mute=True)
        with pytest.raises(ReplyTimeout):
            await laser.shutter.get_value()
        laser.shutter_switch.seconds = 0.05
        monkeypatch.setattr(_maitai_switch, "TIMEOUT", 0.05)
        report = await asyncio.to_thread(stop_all, "a test")
        assert report.verdicts[0].outcome is not Outcome.CONFIRMED
        assert state(port) == (True, False)  # it heard all the same
        port.faults = Faults()


async def test_half_a_reply_is_none(by_id: Path, port: Port):
    async with connected(watched(by_id, watchdog=30)) as laser:
        port.faults = Faults(half_reply=1)
        with pytest.raises(ReplyTimeout, match=r"only b'.' \(no end mark\)|no reply"):
            await laser.power.get_value()
        port.faults = Faults()
        assert await laser.power.get_value() == 0.0
        await laser.wavelength.set(810)
