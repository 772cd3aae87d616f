"""A session with a camera alone, as far as its end matters: latch, watchdog, spool; ``camera_owner.py DATA LATCH``."""

import sys
from pathlib import Path

from bluesky import plans as bp
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.startup._run_engine import make_run_engine
from rdaq_ophyd.stop import latch
from rdaq_ophyd.watchdog import Guard


def main(data: str, latch_file: str) -> None:
    """Take frames for ever; a line with the watchdog's process and the points so far for each."""
    layout, points, devices = data_layout(data), [], {}
    latch.attach(Path(latch_file))
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    engine.subscribe(Spool(layout))
    with Guard(10.0, loop=engine.loop) as guard:
        with init_devices():
            devices["cam"] = cam = SyntheticCamera(
                StaticPathProvider(UUIDFilenameProvider(), layout.frames), "cam", width=16, height=8
            )
        guard.sync()

        def say(*_):
            points.append(1)
            sys.stdout.write(f"{guard.pid} {len(points)}\n")
            sys.stdout.flush()

        engine.subscribe(say, "event")
        with engine.plan_end:
            engine(bp.count([cam], None))
    call_in_bluesky_event_loop(cam.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
