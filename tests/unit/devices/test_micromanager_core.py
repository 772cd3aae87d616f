"""The one core of a configuration: what it loads, what it refuses, and that nothing waits without a bound."""

import asyncio
import gc
import importlib
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from awaited import until
from microscopes import DEVICES, adapters, microscope

from rdaq_ophyd import profile
from rdaq_ophyd.devices._mm_device import stop_motion
from rdaq_ophyd.devices._mm_lane import DEPTH, Lane
from rdaq_ophyd.devices.micromanager import (
    MicroManager,
    MicroManagerDriver,
    MicroManagerShutter,
    MicroManagerStage,
    MicroManagerState,
    MicroManagerXYStage,
)
from rdaq_ophyd.errors import LimitError, MicroManagerError

CONFIG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Device,Z,DemoCamera,DStage
Property,Core,Initialize,1
Property,Camera,Gain,4
Property,Core,AutoShutter,1
"""

PROFILE = """\
format = 1

[rig]
name = "scope"

[[device]]
name = "focus"
class = "rdaq_ophyd.devices.micromanager.MicroManagerStage"
limits = [-5, 5]
options = {{ mm = "{}", stage = "Z" }}
"""


@pytest.fixture
def lane():
    made = Lane("test")
    yield made
    assert made.close(5)


def test_a_configuration_file(tmp_path):
    (tmp_path / "scope.cfg").write_text(CONFIG)
    mm = MicroManager(tmp_path / "scope.cfg", adapters=adapters())
    driver = MicroManagerDriver(mm, "Camera")
    driver.open()
    mm.hold("Z")
    assert mm.call("Camera", "gain", lambda core: core.getProperty("Camera", "Gain")) == "4"
    assert mm.core.getAutoShutter() is False
    driver.close()
    assert mm.core.getPosition("Z") == 0.0, "the last one closed unloads"
    mm.release("Z")
    with pytest.raises(MicroManagerError, match="is not loaded → connect one of its devices first"):
        _ = mm.core
    driver.open()
    driver.close()


async def test_the_demo_configuration_of_micro_manager_itself():
    mm = MicroManager(Path(adapters()) / "MMConfig_demo.cfg", adapters=adapters())
    objective = MicroManagerState(mm, "Objective", name="objective")
    lamp = MicroManagerShutter(mm, "White Light Shutter", name="lamp")
    await objective.connect()
    await lamp.connect()
    choices = (await objective.describe())["objective"]["choices"]
    assert any("Nikon" in label for label in choices), "labels are those of the configuration"
    await objective.set(choices[-1])
    assert (await objective.read())["objective"]["value"] == choices[-1]
    await lamp.shutter.set(True)
    lamp.close()
    objective.close()


async def test_devices_that_name_the_same_file_share_its_core(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROMANAGER_PATH", adapters())
    path = tmp_path / "scope.cfg"
    path.write_text(CONFIG)
    one, other = MicroManager.of(str(path)), MicroManager.of(str(path))
    assert one is other
    assert MicroManager.of(one) is one
    focus = MicroManagerStage(str(path), "Z", name="focus")
    await focus.connect()
    assert one.core.getPosition("Z") == 0.0
    focus.close()


async def test_a_profile_in_toml(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROMANAGER_PATH", adapters())
    (tmp_path / "scope.cfg").write_text(CONFIG)
    (tmp_path / "rig.toml").write_text(PROFILE.format(tmp_path / "scope.cfg"))
    rig = profile.load(str(tmp_path / "rig.toml"))
    async with rig.running({}):
        assert rig.failures == {}
        await rig["focus"].set(2.0)
        with pytest.raises(LimitError, match="allowed: -5 to 5 um"):
            await rig["focus"].set(6.0)


def test_adapters_from_the_environment(monkeypatch):
    monkeypatch.setenv("MICROMANAGER_PATH", adapters())
    mm = MicroManager(DEVICES)
    mm.hold("Z")
    mm.release("Z")


def test_a_configuration_is_loaded_once():
    one, other = microscope(), microscope()
    one.hold("Z")
    with pytest.raises(MicroManagerError, match="loaded already in this session → give one MicroManager object"):
        other.hold("XY")
    with pytest.raises(MicroManagerError, match="'Z' is in use by another device here"):
        one.hold("Z")
    one.release("Z")
    other.hold("XY")
    other.release("XY")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"A": ("NoSuch", "X")}, r"loaded: .*NoSuch.* → adapters must be built for Device API version \d+.*DemoCamera"),
        ({"A": ("DemoCamera", "X")}, "cannot be loaded: .*X"),
        ("nothing.cfg", "nothing.cfg"),
        ({"Z": ("DemoCamera", "DStage")}, "has no device 'Camera' → it has Z"),
    ],
)
def test_what_is_missing_is_named(config, words):
    mm = MicroManager(config, adapters=adapters())
    for _ in range(2):  # a failure leaves nothing behind
        with pytest.raises(MicroManagerError, match=words):
            MicroManagerDriver(mm, "Camera").open()


def test_a_device_that_is_no_camera():
    with pytest.raises(MicroManagerError, match="'Z' is no camera → cameras: Camera, Second"):
        MicroManagerDriver(microscope(), "Z").open()


def test_no_folder_a_wrong_one_and_an_empty_one(tmp_path, monkeypatch):
    adapters()
    monkeypatch.delenv("MICROMANAGER_PATH", raising=False)
    for folder, words in (
        (None, "not known → install Micro-Manager and give adapters=FOLDER, or set MICROMANAGER_PATH"),
        (tmp_path / "no", "does not exist"),
        (tmp_path, "has no device adapters"),
    ):
        with pytest.raises(MicroManagerError, match=words):
            MicroManager(DEVICES, adapters=folder).hold("Z")


def test_without_pymmcore_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymmcore", None)
    with pytest.raises(MicroManagerError, match=r"pip install 'rdaq-ophyd\[micromanager\]'"):
        MicroManager(DEVICES, adapters="/").hold("Z")


def test_importing_the_devices_does_not_import_pymmcore():
    module = importlib.import_module("rdaq_ophyd.devices.micromanager")
    assert not any(getattr(value, "__name__", "").startswith("pymmcore") for value in vars(module).values())


KINDS = [
    (MicroManagerStage, "Z"),
    (MicroManagerXYStage, "XY"),
    (MicroManagerState, "Wheel"),
    (MicroManagerShutter, "Shutter"),
]


async def test_a_device_that_nobody_closed_lets_go_when_it_is_gone():
    mm = microscope()
    devices = [make(mm, label, name="d") for make, label in KINDS]
    for device in devices:
        await device.connect()
        await device.read()
    assert mm.core.getPosition("Z") == 0.0
    del device, devices

    def is_gone():
        gc.collect()
        with suppress(MicroManagerError):
            mm.lane("Z")
            return False
        return True

    await until(is_gone)  # a thread that just worked for one holds it until it gets to forget it
    with pytest.raises(MicroManagerError, match="is not loaded"):
        mm.lane("Z")


class NoStop:
    """A core whose device has no stop."""

    def __init__(self, busy):
        self.busy = busy

    def stop(self, label):
        raise RuntimeError("not supported")

    def deviceBusy(self, label):
        return self.busy


def test_a_device_without_a_stop_is_told_of_only_while_it_moves():
    stop = stop_motion("Z")
    stop(NoStop(busy=False))
    with pytest.raises(RuntimeError, match="not supported"):
        stop(NoStop(busy=True))


def test_a_call_that_never_returns_keeps_it_from_being_loaded_again(monkeypatch, caplog):
    monkeypatch.setattr("rdaq_ophyd.devices._mm_core._CLOSE", 0.05)
    mm = microscope()
    mm.hold("Z")
    let_go, core, lane = threading.Event(), mm.core, mm.lane("Z")
    lane.submit(lambda: let_go.wait(20))
    mm.release("Z")
    assert "its devices stay loaded" in caplog.text
    with pytest.raises(MicroManagerError, match="never returned → restart this process"):
        mm.hold("Z")
    let_go.set()
    assert lane.close(5)
    core.unloadAllDevices()


def test_nothing_is_unloaded_under_a_stop_that_is_under_way():
    """MMCore ends the process otherwise."""
    mm = microscope()
    mm.hold("XY")
    inside, ended = threading.Event(), threading.Event()

    def stop(core):
        inside.set()
        core.sleep(100.0)
        core.stop("XY")
        ended.set()

    mm.now("XY", "stop", stop)
    assert inside.wait(10)
    mm.release("XY")
    assert ended.is_set()


# -- lanes ------------------------------------------------------------------------------------------------------


def test_calls_run_in_order_in_one_thread(lane):
    ran = []
    futures = [lane.submit(lambda n=n: ran.append((n, threading.current_thread().name))) for n in range(10)]
    for future in futures:
        future.result(5)
    assert ran == [(n, "micromanager test") for n in range(10)]


def test_an_error_reaches_who_asked_and_the_lane_goes_on(lane):
    with pytest.raises(ZeroDivisionError):
        lane.call(lambda: 1 / 0, 5)
    assert lane.call(lambda: 3, 5) == 3


async def test_what_gave_up_waiting_is_never_sent(lane):
    let_go, ran = threading.Event(), []
    lane.submit(lambda: let_go.wait(20))
    with pytest.raises(MicroManagerError, match=r"test: Micro-Manager did not answer within 0\.02 s"):
        lane.call(lambda: ran.append("call"), 0.02)
    with pytest.raises(MicroManagerError, match="did not answer"):
        await lane.ask(lambda: ran.append("ask"), 0.02)
    cancelled = asyncio.ensure_future(lane.ask(lambda: ran.append("cancelled"), 20))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    let_go.set()
    assert await lane.ask(lambda: "next", 5) == "next"
    assert ran == []


def test_so_many_may_wait_and_no_more(lane):
    let_go = threading.Event()
    first = lane.submit(lambda: let_go.wait(20))
    while not first.running():
        pass
    waiting = [lane.submit(lambda: None) for _ in range(DEPTH)]
    with pytest.raises(MicroManagerError, match=f"{DEPTH} calls wait for this adapter library"):
        lane.submit(lambda: None)
    let_go.set()
    for future in waiting:
        future.result(5)
