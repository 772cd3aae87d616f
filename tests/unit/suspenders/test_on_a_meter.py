"""A plan that waits for the power of a real meter's protocol, on a serial line."""

import threading

import bluesky.plan_stubs as bps
from bluesky.run_engine import call_in_bluesky_event_loop
from planthread import BOUND, PlanThread, wait

from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.sim import Faults, SimNewport1830C, serve_pty
from rdaq_ophyd.stop import pause
from rdaq_ophyd.suspenders import power_below


async def connected(url):
    meter = Newport1830C(url, name="meter")
    await meter.connect()
    await meter.filter.set("fast")
    return meter


async def closed(meter):
    meter.close()


def test_a_plan_waits_for_the_beam_and_for_the_meter(RE, installed):
    watts, begun, go = [1e-3], threading.Event(), threading.Event()

    def plan():
        yield from bps.checkpoint()
        begun.set()
        while not go.is_set():
            yield from bps.sleep(0.01)

    with serve_pty(SimNewport1830C(lambda _: watts[0]), lift_baud=True) as port:
        meter = call_in_bluesky_event_loop(connected(port.url), timeout=BOUND)
        suspender = installed(power_below(meter.power, 1e-4))
        assert not suspender.tripped
        run = PlanThread(RE, plan())
        wait(begun.is_set)
        watts[0] = 1e-6
        wait(lambda: pause.is_set and "x halt" in RE.told)
        watts[0] = 1e-3
        wait(lambda: not pause.is_set)
        port.faults = Faults(mute=True)
        wait(lambda: pause.is_set)
        assert "cannot be relied on" in suspender.get_futures()[1]
        port.faults = Faults()
        go.set()
        assert run.end().exit_status == "success"
        RE.clear_suspenders()
        call_in_bluesky_event_loop(closed(meter), timeout=BOUND)
