"""The RunEngine with an axis and a meter over real ports: scans, pauses, aborts, failures."""

import contextlib
import threading
from collections.abc import Iterator

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted, TransitionError
from ophyd_async.core import init_devices

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.newport_1830c import AnalogFilter, Newport1830C
from rdaq_ophyd.errors import InstrumentError, MoveInterrupted, ReplyTimeout
from rdaq_ophyd.sim import Beam, Faults, SimBench
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop


@pytest.fixture(scope="module")
def engine() -> Iterator[RunEngine]:
    """A session's engine: a bare one is lost when it is paused within its own clean-up."""
    made = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    yield made
    stop_loop(made)


@pytest.fixture(scope="module")
def bench() -> Iterator[SimBench]:
    with SimBench(beam=Beam(radius=0.5, centre=1.0, power=1e-3), lift_baud=True, fast=True) as bench:
        yield bench


@pytest.fixture
def devices(engine: RunEngine, bench: SimBench) -> Iterator[tuple[Esp300, Newport1830C]]:
    with init_devices():
        esp = Esp300(bench.urls["esp300"], {1: "x", 2: "y"})
        pm = Newport1830C(bench.urls["newport_1830c"])
    engine(bps.mv(esp.x.enabled, True, esp.y.enabled, True, pm.filter, AnalogFilter.FAST))
    engine(bps.mv(esp.x, 0.0))
    yield esp, pm
    esp.close()
    pm.close()


def test_a_knife_edge_scan(engine: RunEngine, devices):
    esp, pm = devices
    rows: list[dict] = []
    engine(bp.scan([pm], esp.x, 0.0, 2.0, 9), {"event": lambda _, doc: rows.append(doc["data"])})
    powers = [row["pm-power"] for row in rows]
    assert [round(row["esp-x"], 2) for row in rows] == [0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert powers == sorted(powers, reverse=True)
    assert powers[4] == pytest.approx(0.5e-3, rel=0.15)
    assert powers[0] > 0.95e-3
    assert powers[-1] < 0.05e-3


def wait_for_byte(bench: SimBench, text: bytes, since: int) -> None:
    for _ in range(10_000):
        if text in bench.ports["esp300"].log.bytes()[since:]:
            return
        threading.Event().wait(0.001)
    raise AssertionError(f"{text!r} never arrived")


def test_abort_in_mid_move_stops_the_axis(engine: RunEngine, devices, bench: SimBench):
    esp, _ = devices
    engine(bps.mv(esp.x.velocity, 5.0))
    since = len(bench.ports["esp300"].log.bytes())

    def abort() -> None:
        wait_for_byte(bench, b"1MD?", since)
        engine.abort("enough")

    thread = threading.Thread(target=abort)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        engine(bps.mv(esp.x, 20.0))
    thread.join()
    assert b"1ST\r" in bench.ports["esp300"].log.bytes()[since:]
    assert engine(bps.rd(esp.x.done)).plan_result is True
    assert engine(bps.rd(esp.x)).plan_result < 19.0
    engine(bps.mv(esp.x.velocity, 100.0))


def test_a_paused_move_is_made_again_on_resume(engine: RunEngine, devices, bench: SimBench):
    esp, _ = devices
    engine(bps.mv(esp.x.velocity, 5.0))
    since = len(bench.ports["esp300"].log.bytes())

    def pause() -> None:
        wait_for_byte(bench, b"1MD?", since)
        engine.request_pause()

    def plan():
        yield from bps.checkpoint()
        yield from bps.mv(esp.x, 5.0)

    thread = threading.Thread(target=pause)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    thread.join()
    assert b"1ST\r" in bench.ports["esp300"].log.bytes()[since:]
    engine.resume()
    assert engine(bps.rd(esp.x)).plan_result == pytest.approx(5.0, abs=1e-3)
    engine(bps.mv(esp.x.velocity, 100.0))


def failure_of(engine: RunEngine, plan) -> BaseException:
    with pytest.raises(FailedStatus) as caught:
        engine(plan)
    return caught.value.__cause__


def test_failures_reach_the_plan_with_their_names(engine: RunEngine, devices, bench: SimBench):
    esp, _ = devices
    engine(bps.mv(esp.y.enabled, False))
    assert isinstance(failure_of(engine, bps.mv(esp.y, 1.0)), InstrumentError)

    def halted():
        yield from bps.abs_set(esp.x, 20.0, group="move")
        yield from bps.sleep(0.05)
        threading.Thread(target=esp.x.halt).start()
        yield from bps.wait("move")

    engine(bps.mv(esp.x.velocity, 5.0))
    assert isinstance(failure_of(engine, halted()), MoveInterrupted)
    engine(bps.mv(esp.x.velocity, 100.0))


@pytest.mark.parametrize("milliseconds", [0, 2, 5, 10, 20, 40])
def test_a_halt_and_a_pause_while_a_move_is_asked_for(engine: RunEngine, devices, bench: SimBench, milliseconds: int):
    esp, _ = devices
    engine(bps.mv(esp.x.velocity, 5.0))
    since = len(bench.ports["esp300"].log.bytes())

    def halt() -> None:
        esp.x.halt()
        with contextlib.suppress(TransitionError):  # the move may have failed, and the plan with it
            engine.request_pause()

    timer = threading.Timer(milliseconds / 1000, halt)

    def plan():
        yield from bps.checkpoint()
        yield from bps.abs_set(esp.x, 20.0, group="move")
        timer.start()
        yield from bps.wait("move")

    with pytest.raises((FailedStatus, RunEngineInterrupted)):
        engine(plan())
    timer.join()
    if engine.state == "paused":
        engine.abort()
    wire = bench.ports["esp300"].log.bytes()[since:]
    assert b"1PA" not in wire.rpartition(b"1ST\r")[2]
    assert engine(bps.rd(esp.x.done)).plan_result is True
    assert engine(bps.rd(esp.x)).plan_result < 19.0
    engine(bps.mv(esp.x.velocity, 100.0))


def test_a_scan_with_a_meter_that_falls_silent_fails_and_stops_the_stage(engine: RunEngine, devices, bench: SimBench):
    esp, pm = devices
    meter = bench.ports["newport_1830c"]
    documents: list[str] = []

    def fall_silent(name: str, doc: dict) -> None:
        documents.append(name)
        if documents.count("event") == 3:
            meter.faults = Faults(mute=True)

    try:
        with pytest.raises(FailedStatus) as caught:
            engine(bp.scan([pm], esp.x, 0.0, 1.0, 20), fall_silent)
    finally:
        meter.faults = Faults()
    assert isinstance(caught.value.__cause__, ReplyTimeout)
    assert documents.count("event") == 3
    assert documents[-1] == "stop"


def test_homing_in_a_plan(engine: RunEngine, devices):
    esp, _ = devices
    engine(bps.mv(esp.x, 3.0))
    engine(bps.trigger(esp.x.home, wait=True))
    assert engine(bps.rd(esp.x)).plan_result == pytest.approx(0.0, abs=1e-3)
