"""A microscope of Micro-Manager under the RunEngine: stages and camera in one scan, its shutter, and an abort."""

from __future__ import annotations

import threading

import h5py
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import RunEngineInterrupted
from microscopes import microscope, quick
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from streamscans import covered, file_of

from rdaq_ophyd.devices.micromanager import (
    MicroManagerCamera,
    MicroManagerShutter,
    MicroManagerStage,
    MicroManagerState,
    MicroManagerXYStage,
)
from rdaq_ophyd.frames import DATA
from rdaq_ophyd.plans import open_shutter


class Scope:
    """Its devices."""

    def __init__(self, folder):
        mm = microscope()
        with init_devices():
            cam = MicroManagerCamera(StaticPathProvider(UUIDFilenameProvider(), folder), mm)
            stage = MicroManagerXYStage(mm)
            focus = MicroManagerStage(mm, "Z")
            wheel = MicroManagerState(mm, "Wheel")
            lamp = MicroManagerShutter(mm, "Shutter")
        quick(mm)
        self.cam, self.stage, self.focus, self.wheel, self.lamp = cam, stage, focus, wheel, lamp

    def close(self):
        call_in_bluesky_event_loop(self.cam.close())
        for device in (self.stage, self.focus, self.wheel, self.lamp):
            device.close()


@pytest.fixture
def scope(engine, tmp_path):
    made = Scope(tmp_path)
    engine(bps.mv(made.cam.exposure, 0.002, made.cam.roi.width, 64, made.cam.roi.height, 48))
    yield made
    if engine.state != "idle":
        engine.abort()
    made.close()


def test_a_grid_of_frames_with_the_lamp_open(engine, scope, docs):
    seen = []

    def plan():
        yield from bps.mv(scope.wheel, "State-2", scope.focus, 3.0)
        yield from bp.grid_scan([scope.cam, scope.wheel], scope.stage.x, 0, 200, 3, scope.stage.y, 0, 100, 2)
        seen.append((yield from bps.rd(scope.lamp.shutter)))

    engine(open_shutter(scope.lamp, plan()))
    assert seen == [True]
    assert engine(bps.rd(scope.lamp.shutter)).plan_result is False
    events = [d["data"] for name, d in docs if name == "event"]
    places = [(round(e["stage-x"]), round(e["stage-y"])) for e in events]
    assert places == [(0, 0), (0, 100), (100, 0), (100, 100), (200, 0), (200, 100)]
    assert {e["wheel"] for e in events} == {"State-2"}
    rows, _ = covered(docs)
    assert rows == list(range(6))
    with h5py.File(file_of(docs)) as file:
        assert file[DATA].shape == (6, 48, 64)
    descriptor = next(d for name, d in docs if name == "descriptor")
    assert descriptor["data_keys"]["stage-x"]["units"] == "um"
    assert descriptor["configuration"]["cam"]["data"]["cam-properties-binning"] == "1"


def test_an_abort_in_mid_move_stops_the_stage(engine, scope):
    def work():
        tick = threading.Event()
        for _ in range(2000):
            if scope.stage._session.mm.core.deviceBusy("XY"):
                engine.abort("enough")
                return
            tick.wait(0.002)

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        engine(bps.mv(scope.stage.x, 19000.0))
    thread.join(30)
    core = scope.stage._session.mm.core
    place = core.getXPosition("XY")
    assert place < 18000
    assert not core.deviceBusy("XY")
