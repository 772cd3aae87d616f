"""Every library plan paused, resumed and aborted in the middle: dark after it, at rest, its run closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from optics import Runs, brisk, no_tiled

from rdaq_ophyd import plans
from rdaq_ophyd.errors import StopLatched
from rdaq_ophyd.startup import Session, start

#: Of any wait, s.
BOUND = 30
AXES = ("x", "y", "z")
MOUNTS = ("polariser", "waveplate")


@pytest.fixture(scope="module")
def session(optics_profile, data_dir, nothing_left_by_module) -> Iterator[Session]:
    """The simulated rig; runs are kept in memory."""
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(optics_profile), data_dir=data_dir) as made:
            assert made.rig.failures == {}
            brisk(made)
            yield made


@pytest.fixture(scope="module")
def runs(session) -> Iterator[Runs]:
    with Runs(session.RE) as kept:
        yield kept


#: A plan that takes a second or two and records a few events (or frames), of the devices of the rig.
PLANS: dict[str, Callable[[Any], Any]] = {
    "calibrate_rotator": lambda r: plans.calibrate_rotator(
        r.polariser, r.power_meter, r.zero, num=5, settle=0.0, light=r.laser
    ),
    "expose": lambda r: plans.expose(r.cam, 0.05, 5, light=r.laser),
    "fly_scan": lambda r: plans.fly_scan(r.cam, axis=r.x, start=0.0, stop=2.0, num=30, rate=20.0, light=r.laser),
    "fly_stack": lambda r: plans.fly_stack(r.cam, 30, 0.03, light=r.laser),
    "focus": lambda r: plans.focus(r.z, r.cam, -3, 8, tolerance=1, num=7, metric="max", settle=0.0, light=r.laser),
    "image_stack": lambda r: plans.image_stack(r.cam, r.x, 0, 2, 5, 0.01, light=r.laser),
    "knife_edge_scan": lambda r: plans.knife_edge_scan(r.x, r.power_meter, 0, 2.4, 5, light=r.laser),
    "power_vs_angle": lambda r: plans.power_vs_angle(r.polariser, r.power_meter, num=5, settle=0.0, light=r.laser),
    "raster": lambda r: plans.raster(r.x, r.y, r.power_meter, 3.4, 4.6, 3, 1.4, 2.6, 3, settle=0.0, light=r.laser),
    "time_series": lambda r: plans.time_series(r.power_meter, num=5, period=0.1, light=r.laser),
    "wavelength_sweep": lambda r: plans.wavelength_sweep(
        r.laser, r.power_meter, 790, 806, 5, settle=0.0, light=r.laser
    ),
}
#: Stubs, which are no runs of their own.
STUBS = {
    "close_shutter", "disable", "enable", "open_shutter", "set_calibration", "set_wavelength", "with_emission",
    "with_light",
}  # fmt: skip


@contextmanager
def acting_after(session: Session, count: int, action: Callable[[], object]) -> Iterator[None]:
    """Act from another thread once so many points (or blocks of frames) of ``primary`` are recorded."""
    primary: set[str] = set()
    seen: list[str] = []
    enough = threading.Event()

    def note(name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor" and doc["name"] == "primary":
            primary.add(doc["uid"])
        elif name in ("event", "stream_datum") and doc["descriptor"] in primary:
            seen.append(name)
            if len(seen) >= count:
                enough.set()

    def act() -> None:
        if enough.wait(BOUND):
            action()

    token = session.RE.subscribe(note)
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join(BOUND)
        session.RE.unsubscribe(token)
        assert enough.is_set()


def light(session: Session) -> tuple[bool, bool]:
    """Shutter and emission, as the laser says now; also while a plan is paused."""
    laser = session.rig["laser"]

    async def ask() -> tuple[bool, bool]:
        return await laser.shutter.get_value(cached=False), await laser.emission.get_value(cached=False)

    return call_in_bluesky_event_loop(ask(), timeout=BOUND)


def at_rest(session: Session) -> bool:
    def ask():
        for name in AXES:
            if not (yield from bps.rd(session.rig[name].done)):
                return False
        for name in MOUNTS:
            if (yield from bps.rd(session.rig[name].busy)):
                return False
        return True

    return session.RE(ask()).plan_result


def made(session: Session, name: str) -> Any:
    return PLANS[name](SimpleNamespace(**session.rig.devices, zero=session.rig["calibration.polariser_zero"]))


def test_the_table_has_every_plan_of_the_library():
    assert set(PLANS) | STUBS == set(plans.__all__)


@pytest.mark.parametrize("name", PLANS)
def test_paused_it_keeps_its_light_and_ends_whole(session, runs, name):
    whole = {"fly_scan": 30, "fly_stack": 30, "focus": 14, "calibrate_rotator": 16, "raster": 9}.get(name, 5)
    with acting_after(session, 2, lambda: session.RE.request_pause()), pytest.raises(RunEngineInterrupted):
        session.RE(made(session, name))
    assert session.RE.state == "paused"
    assert light(session) == (True, True)
    assert session.RE.resume().exit_status == "success"
    done = runs[-1]
    assert done.stop["exit_status"] == "success"
    assert (done.frames or len(done.rows("primary"))) == whole
    assert light(session) == (False, True)


@pytest.mark.parametrize("name", PLANS)
def test_aborted_it_leaves_darkness_rest_and_a_closed_run(session, runs, name):
    kept = session.rig.calibration.history()
    with acting_after(session, 2, lambda: session.RE.abort("enough")), pytest.raises(RunEngineInterrupted):
        session.RE(made(session, name))
    assert session.RE.state == "idle"
    aborted = runs[-1]
    assert aborted.start["plan_name"] == name
    assert aborted.stop["exit_status"] == "abort"
    assert aborted.stop["reason"] == "enough"
    assert light(session) == (False, True)
    assert at_rest(session)
    assert session.rig.calibration.history() == kept
    # And the next run works.
    assert session.RE(plans.time_series(session.rig["power_meter"], num=1)).exit_status == "success"


def test_a_stop_of_everything_in_mid_scan_closes_the_shutter_and_no_reset_opens_it(session, runs):
    reports = []
    with (
        acting_after(session, 2, lambda: reports.append(session.stop_all("smoke"))),
        pytest.raises(RunEngineInterrupted),
    ):
        session.RE(made(session, "knife_edge_scan"))
    assert "laser" in str(reports[0])
    assert runs[-1].stop["exit_status"] == "abort"
    assert light(session) == (False, True)
    with pytest.raises(StopLatched):
        session.RE(made(session, "knife_edge_scan"))
    session.reset("it was a kettle")
    assert light(session) == (False, True)
    assert session.RE(made(session, "knife_edge_scan")).plan_result is not None
