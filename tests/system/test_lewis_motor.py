"""A motor that others simulate (lewis, TCP, a process of its own), driven from a file: moves and a real stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bluesky import plan_stubs as bps
from bluesky.run_engine import call_in_bluesky_event_loop

from rdaq_ophyd import stop
from rdaq_ophyd.capabilities import Capability, capabilities, stop_capability
from rdaq_ophyd.devices.declared import Declared, declared
from rdaq_ophyd.errors import BadReply, LimitError, MoveInterrupted, StopLatched
from rdaq_ophyd.stop import Outcome

FILE = Path(__file__).parents[1] / "data" / "lewis_motor.toml"
LEWIS = shutil.which("lewis", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
pytestmark = pytest.mark.skipif(LEWIS is None, reason="lewis is not installed")


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # pyzmq and others of its parts import what Python deprecates: none of our business.
    process = subprocess.Popen(
        [
            LEWIS, "-k", "lewis.examples", "-c", "0.01", "-e", "10", "example_motor",
            "-p", f"stream: {{bind_address: 127.0.0.1, port: {port}}}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "lewis ended"
                assert time.monotonic() < end, "lewis does not listen"
        yield "127.0.0.1", port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture
async def motor(address) -> AsyncIterator[Declared]:
    motor = declared(FILE)(f"tcp://{address[0]}:{address[1]}", "motor")
    await motor.connect()
    await motor.stop()
    yield motor
    await motor.stop()
    motor.close()


async def test_it_moves_and_arrives(motor):
    assert {Capability.MOVABLE, Capability.HALTABLE, Capability.LOCATABLE} <= capabilities(motor)
    assert "urgent lane" in str(stop_capability(motor))
    start = (await motor.read())["motor"]["value"]
    target = start + 10 if start < 200 else start - 10
    seen = []
    status = motor.set(target)
    status.watch(lambda **update: seen.append(update["current"]))
    await asyncio.wait_for(status, 20)
    assert (await motor.read())["motor"]["value"] == pytest.approx(target, abs=0.01)
    assert (await motor.locate())["readback"] == pytest.approx(target, abs=0.01)
    assert seen
    assert (await motor.moving.get_value()) is False


async def moving(motor) -> None:
    """Wait until it moves: lewis sets out a moment after it took the target."""
    for _ in range(1000):
        if await motor.moving.get_value():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not move")


async def far(motor) -> float:
    return 250.0 if await motor.position.get_value() < 125 else 0.0


@pytest.mark.parametrize("success", [True, False])
async def test_a_stop_really_stops_it(motor, success):
    target = await far(motor)
    status = motor.set(target)
    await moving(motor)
    await motor.stop(success)
    place = await motor.position.get_value()
    assert await motor.moving.get_value() is False
    assert abs(place - target) > 10
    if success:
        await asyncio.wait_for(status, 5)
    else:
        with pytest.raises((MoveInterrupted, RuntimeError), match="stop"):
            await asyncio.wait_for(status, 5)
    assert await motor.position.get_value() == place
    await motor.stop()
    assert await motor.position.get_value() == place


async def test_halt_ends_a_move_as_interrupted(motor):
    status = motor.set(await far(motor))
    await moving(motor)
    motor.halt()
    with pytest.raises(MoveInterrupted, match="motor: told to stop on its way to"):
        await asyncio.wait_for(status, 5)
    assert await motor.moving.get_value() is False


async def test_it_refuses_what_is_outside_and_says_what_the_motor_said(motor):
    for bad in (250.1, -1.0, float("nan")):
        with pytest.raises(LimitError):
            await motor.set(bad)
    status = motor.set(await far(motor))
    await moving(motor)
    with pytest.raises(BadReply, match="answered 'err: not idle'"):
        await motor.target.set(10.0)
    await motor.stop()
    with pytest.raises((MoveInterrupted, RuntimeError)):
        await status


async def test_stop_all_halts_it_and_the_latch_holds_it(motor):
    status = motor.set(await far(motor))
    await moving(motor)
    report = await asyncio.to_thread(stop.stop_all, "a test")
    assert [(v.device, v.outcome) for v in report.verdicts] == [("motor", Outcome.CONFIRMED)]
    with pytest.raises((MoveInterrupted, RuntimeError)):
        await status
    with pytest.raises(StopLatched):
        await motor.target.set(1.0)
    stop.reset("the test goes on", force=True)
    assert await motor.moving.get_value() is False


def test_a_plan_moves_it(address, engine):
    async def connect():
        motor = declared(FILE)(f"tcp://{address[0]}:{address[1]}", "motor")
        await motor.connect()
        return motor

    motor = call_in_bluesky_event_loop(connect(), timeout=20)

    def there_and_back():
        for target in (3.0, 1.0):
            yield from bps.mv(motor, target)
            assert (yield from bps.rd(motor)) == pytest.approx(target, abs=0.01)

    try:
        engine(there_and_back())
    finally:
        motor.close()
