"""Records a run of the synthetic camera until it is killed: ``killable.py DATA PLAN [COMPRESSION]``."""

import sys
from contextlib import ExitStack

from bluesky import RunEngine
from bluesky import plan_stubs as bps
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.plans import fly_scan
from rdaq_ophyd.sim import SimEsp300, serve_pty

ENDLESS = 1_000_000


def fly(cam):
    """Frames as fast as they come, told of ten times a second."""
    yield from bps.stage(cam)
    yield from bps.open_run({"plan_name": "fly"})
    yield from bps.mv(cam.events_to_kickoff, ENDLESS)
    yield from bps.prepare(cam, TriggerInfo(number_of_events=ENDLESS, livetime=0.001), wait=True)
    yield from bps.declare_stream(cam, name="primary", collect=True)
    yield from bps.kickoff(cam, wait=True)
    yield from bps.collect_while_completing([cam], [cam], flush_period=0.1, stream_name="primary")


def step(cam):
    """A frame and an event a point."""
    yield from bps.stage(cam)
    yield from bps.open_run({"plan_name": "step"})
    yield from bps.prepare(cam, TriggerInfo(livetime=0.001), wait=True)
    for _ in range(ENDLESS):
        yield from bps.trigger_and_read([cam])


def scan(cam):
    """Frames along a simulated axis, for ten seconds."""
    with ExitStack() as stack:
        port = stack.enter_context(serve_pty(SimEsp300(speed=5.0), lift_baud=True))
        stage = Esp300(port.url, {1: "x"}, "stage")
        stack.callback(stage.close)
        yield from bps.wait_for([stage.connect])
        yield from fly_scan(cam, axis=stage.x, start=0.0, stop=20.0, num=400, rate=40.0)


def say(_name, document):
    """How many rows are told of by now."""
    sys.stdout.write(f"{document['indices']['stop']}\n")
    sys.stdout.flush()


def main(data, plan, compression="none"):
    """Record; a line for each stream datum with the rows told of so far."""
    layout = data_layout(data)
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(Spool(layout))
    paths = StaticPathProvider(UUIDFilenameProvider(), layout.frames)
    with init_devices():
        cam = SyntheticCamera(paths, "cam", width=64, height=48, compression=compression)
    engine.subscribe(say, "stream_datum")
    engine({"fly": fly, "scan": scan, "step": step}[plan](cam))


if __name__ == "__main__":
    main(*sys.argv[1:])
