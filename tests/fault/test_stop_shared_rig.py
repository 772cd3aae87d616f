"""Two processes share a rig's latch: neither takes it back while the other's devices may still move."""

from __future__ import annotations

import pytest
from watched import gone, moving, owner, wait

from rdaq_ophyd.errors import StopUnconfirmed
from rdaq_ophyd.sim import Faults
from rdaq_ophyd.stop import latch, latch_path, reset, stop_all


@pytest.fixture
def shared(state):
    """This process obeys the rig's latch, and has no devices of its own."""
    path = latch_path("lab")
    latch.attach(path)
    yield path
    if latch.tripped:
        reset("the test is over", force=True)
    latch.detach()


def test_a_reset_asks_the_devices_of_the_other_process(esp300, shared):
    with owner(esp300, shared) as (process, dog):
        stop_all("smoke")  # the other one may not have heard of it yet
        reset("was a cigarette")
        assert not latch.tripped
        assert not moving(esp300)
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_a_device_that_the_other_process_cannot_vouch_for_forbids_the_reset(esp300, shared):
    with owner(esp300, shared) as (process, dog):
        esp300.faults = Faults(mute=True)
        stop_all("smoke")
        with pytest.raises(StopUnconfirmed, match=rf"process {process.pid} \(owner.py .*stage-x"):
            reset("was a cigarette")
        assert latch.tripped
        esp300.faults = Faults()
        reset("was a cigarette")
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")


def test_a_process_that_does_not_answer_forbids_the_reset(esp300, shared, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.stop._reset.OTHERS", 0.5)
    with owner(esp300, shared, "gil20") as (process, dog):
        stop_all("smoke")
        with pytest.raises(StopUnconfirmed, match=rf"process {process.pid} .*did not answer within 0.5 s"):
            reset("was a cigarette")
        reset("I looked", force=True)
        process.kill()
        wait(lambda: gone(dog), "the watchdog has ended")
