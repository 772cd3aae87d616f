"""Scans over two rotators of one bus, with pauses and aborts."""

import threading
import time
from collections.abc import Iterator

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import init_devices

from rdaq_ophyd.devices.ell14 import Ell14Bus
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.sim import Port, SimEll14, serve_pty


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEll14("03", speed=4.0), lift_baud=True) as served:
        yield served


@pytest.fixture
def bus(engine: RunEngine, port: Port) -> Iterator[Ell14Bus]:
    with init_devices():
        bus = Ell14Bus(port.url, {"0": "polariser", "3": "analyser"}, limits={"0": (0.0, 180.0)}, segment=45.0)
    yield bus
    bus.close()


@pytest.fixture
def documents(engine: RunEngine) -> list[tuple[str, dict]]:
    kept: list[tuple[str, dict]] = []
    engine.subscribe(lambda name, document: kept.append((name, document)))
    return kept


def events(documents: list[tuple[str, dict]]) -> list[tuple[float, float]]:
    data = [document["data"] for name, document in documents if name == "event"]
    return [(round(d["bus-polariser"], 1), round(d["bus-analyser"], 1)) for d in data]


def turned(port: Port) -> int:
    """Moves that were sent."""
    return sum(line[1:3] == b"ma" for line in port.log.bytes().split(b"\r"))


def at_rest(port: Port) -> bool:
    return port.call(lambda now: all(rotator.motion is None for rotator in port.instrument.rotators.values()))


def test_a_grid(engine: RunEngine, bus: Ell14Bus, port: Port, documents):
    engine(bp.grid_scan([bus], bus.polariser, 0, 90, 3, bus.analyser, 0, 60, 3, snake_axes=True))
    assert events(documents) == [
        (p, a) for p, row in zip((0, 45, 90), ((0, 30, 60), (60, 30, 0), (0, 30, 60)), strict=True) for a in row
    ]
    descriptor = next(document for name, document in documents if name == "descriptor")
    assert descriptor["data_keys"]["bus-polariser"]["units"] == "deg"
    assert descriptor["configuration"]["bus"]["data"]["bus-analyser-serial_number"] == "11400518"


def test_relative_moves_are_checked_as_absolute(engine: RunEngine, bus: Ell14Bus, port: Port):
    engine(bps.mv(bus.polariser, 170.0))
    sent = turned(port)
    for distance in (11.0, -171.0, float("nan")):
        with pytest.raises((FailedStatus, LimitError)):
            engine(bps.mvr(bus.polariser, distance))
    assert turned(port) == sent
    engine(bps.mvr(bus.polariser, 10.0))
    assert engine(bps.rd(bus.polariser)).plan_result == pytest.approx(180.0, abs=0.01)


def test_a_pause_between_points_and_a_resume(engine: RunEngine, bus: Ell14Bus, documents):
    def plan():
        yield from bps.open_run()
        for i in range(4):
            yield from bps.checkpoint()
            if i == 2:
                yield from bps.pause()
            yield from bps.mv(bus.polariser, 20.0 * i, bus.analyser, -10.0 * i)
            yield from bps.trigger_and_read([bus.polariser, bus.analyser])
        yield from bps.close_run()

    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    engine.resume()
    assert events(documents) == [(0.0, 0.0), (20.0, -10.0), (40.0, -20.0), (60.0, -30.0)]


def in_mid_move(port: Port, act) -> threading.Thread:
    """Call ``act`` from another thread when the second move of a series is on its way."""

    def watch() -> None:
        since, end = turned(port), time.monotonic() + 20
        while turned(port) < since + 2 and time.monotonic() < end:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_hard_pause_in_mid_move_repeats_the_point(engine: RunEngine, bus: Ell14Bus, port: Port, documents):
    engine(bps.mv(bus.analyser.velocity, 25))
    thread = in_mid_move(port, lambda: engine.request_pause(defer=False))
    with pytest.raises(RunEngineInterrupted):
        engine(bp.scan([bus.polariser, bus.analyser], bus.analyser, 300, 0, 3))
    thread.join()
    assert at_rest(port)  # the pause stopped it, and waited for the move that had begun
    assert 0 < port.call(lambda now: port.instrument.angle("3", now)) < 299
    sent = turned(port)
    engine.resume()
    assert events(documents) == [(0.0, 300.0), (0.0, 150.0), (0.0, 0.0)]
    assert turned(port) > sent


def test_an_abort_in_mid_move(engine: RunEngine, bus: Ell14Bus, port: Port, documents):
    engine(bps.mv(bus.analyser.velocity, 25))
    thread = in_mid_move(port, lambda: engine.request_pause(defer=False))
    with pytest.raises(RunEngineInterrupted):
        engine(bp.scan([bus], bus.analyser, 300, 0, 3))
    thread.join()
    sent = turned(port)
    engine.abort("the test")
    assert turned(port) == sent
    assert at_rest(port)
    assert [document["exit_status"] for name, document in documents if name == "stop"] == ["abort"]
    engine(bps.mv(bus.analyser, 10.0, bus.polariser, 10.0))
    assert events(documents) == []
