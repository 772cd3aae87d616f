"""An engine with an axis, and suspenders that end with their test."""

import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from planthread import BOUND
from softaxis import SoftAxis

from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.stop import latch, pause, reset


@pytest.fixture(scope="module")
def RE():
    log, devices = [], {}
    made = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    devices["x"] = call_in_bluesky_event_loop(_axis(log), timeout=BOUND)
    made.told = log
    with made.plan_end:
        yield made
    stop_loop(made)


async def _axis(log):
    axis = SoftAxis("x", log)
    await axis.connect()
    return axis


@pytest.fixture
def installed(RE):
    """Install a suspender until the test is over."""
    RE.told.clear()
    yield lambda suspender: (RE.install_suspender(suspender), suspender)[1]
    if latch.tripped:
        reset("the test is over", force=True)
    if RE.state == "paused":
        RE.abort()
    RE.clear_suspenders()
    assert RE.state == "idle"
    assert not pause.is_set
