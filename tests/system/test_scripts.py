"""A script in a process of its own does what the same script does beside the engine, in the same order, each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
import types

import pytest
from bluesky import RunEngineInterrupted
from bluesky.utils import FailedStatus
from planthread import PlanThread, wait
from scripted import HEAD, a_lab, none_left, recorded

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.startup import bind


@pytest.fixture(scope="module")
def lab(nothing_left_by_module):
    with a_lab() as made:
        yield made


@pytest.fixture(autouse=True)
def clean(lab):
    lab.log.clear()
    for axis in ("x", "y"):
        lab.rig[axis].free, lab.rig[axis].error = True, None
    yield
    none_left()


def beside(lab, text, **given):
    """The plan of the same script in the rig's own process."""
    module = types.ModuleType("beside")
    exec(HEAD + textwrap.dedent(text), vars(module))
    return bind(module.plan, lab.rig, given)


def messages_of(lab, plan):
    messages = []
    lab.RE.msg_hook = messages.append
    try:
        lab.RE(plan)
    finally:
        lab.RE.msg_hook = None
    return recorded(messages)


EVERYTHING = """
    from rdaq_ophyd.plans import focus, wavelength_sweep
    def plan(x: Movable[float], y: Movable[float], meter: Readable, laser: Readable):
        names = {f"name{n}" for n in range(40)}
        for name in names:  # in the order of a set
            yield from bps.null()
            yield Msg("null", None, name, run=(name, 1))
        yield from bps.mv(x, 0.1, y, float("inf"), laser.shutter, True)
        yield from bp.grid_scan([meter], x, 0, 1, 3, y, 0, 1, 2, md={"why": ("a", 1j, b"b", {1: 2})})
        yield from wavelength_sweep(laser, meter, 700, 720, 2, settle=0, light=laser)
        try:
            yield from bps.wait_for([laser.wavelength.get_value, meter.describe])
            yield Msg("set", meter.range)
        except Exception as error:
            yield from bps.null()
            print(type(error).__name__)
        return (yield from bps.rd(meter.power))
"""


def test_the_same_script_gives_the_same_messages_each_time_whatever_the_load(lab):
    first = messages_of(lab, lab.load(EVERYTHING).plan)
    assert len(first) > 150
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        for _ in range(3):
            assert messages_of(lab, lab.load(EVERYTHING).plan) == first
    finally:
        for process in busy:
            process.kill()
            process.wait()
    here = messages_of(lab, beside(lab, EVERYTHING))
    # Sets of texts and of devices have another order in each process, but not in those of scripts.
    unordered = ("null", "stage", "unstage")
    assert [m for m in first if m[0] not in unordered] == [m for m in here if m[0] not in unordered]
    assert sorted(map(str, first)) == sorted(map(str, here))


def test_readings_statuses_and_descriptions_are_those_of_the_rig(lab):
    text = """
        import numpy as np
        def plan(x: Movable[float], meter: Readable, laser: Readable):
            (status,) = yield from bps.mv(x, np.float64(2.5))
            reading = yield from bps.read(meter)
            (location,) = [(yield Msg("locate", laser.shutter))]
            (described,) = yield from bps.wait_for([meter.power.describe])
            yield from bps.mv(meter.range, np.int16(3))
            return [status.done, status.success, status.exception(), reading["meter-power"]["value"], location,
                    described.result()["meter-power"]["units"], x.name, meter.power.name, meter.power.parent is meter,
                    meter.hints, isinstance(x, Movable), isinstance(meter, Movable), dict(meter.children()).keys(),
                    meter.power.datatype]
    """
    found = lab.run(text)
    expected = [True, True, None, 1.0, {"setpoint": False, "readback": False}, "W", "x", "meter-power"]
    expected += [True, {}, True, False]
    assert found == f"{str(expected)[:-1]}, dict_keys(['power', 'range']), <class 'float'>]"


def test_callbacks_and_devices_that_the_script_made_get_what_they_get_beside_the_engine(lab):
    text = """
        from rdaq_ophyd.plans import time_series
        from bluesky.protocols import Readable
        class Note:
            name, parent, hints = "note", None, {}
            def read(self):
                return {"note": {"value": len(seen), "timestamp": time.time()}}
            def describe(self):
                return {"note": {"source": "script", "dtype": "integer", "shape": []}}
        seen = []
        def plan(meter: Readable):
            def take(name, doc):
                seen.append(doc["data"].get("note") if name == "event" else name)
            yield from bpp.subs_wrapper(bp.count([meter, Note()], 2), take)
            series = yield from time_series(meter, num=3, period=0)
            return seen, series.points
    """
    found = lab.run(text)
    assert found == "(['start', 'descriptor', 1, 3, 'stop'], 3)"
    assert found == str(lab.RE(beside(lab, text)).plan_result)


def test_what_fails_in_the_rig_is_caught_in_the_script(lab):
    lab.rig["x"].error, lab.rig["x"].free = RdaqError("x: no motor", hint="plug it in"), False
    text = """
        from bluesky.utils import FailedStatus
        from rdaq_ophyd.errors import RdaqError
        def plan(x: Movable[float], y: Movable[float]):
            try:
                yield from bps.mv(x, 1)
            except FailedStatus as failure:
                assert isinstance(failure.__cause__, RdaqError), failure.__cause__
                print(failure.__cause__)
                yield from bps.mv(y, 1)
            yield from bps.mv(x, 2)
    """
    with pytest.raises(FailedStatus) as caught:
        lab.run(text)
    assert str(caught.value.__cause__) == "x: no motor → plug it in"
    assert lab.printed == ["x: no motor → plug it in"]
    assert "y moves to 1" in lab.log


@pytest.mark.parametrize("how", ["abort", "halt"])
def test_a_plan_that_is_taken_down_does_its_clean_up(lab, how):
    lab.rig["x"].free = False
    script = lab.load("""
        def plan(x: Movable[float], y: Movable[float]):
            yield from bpp.finalize_wrapper(bp.scan([], x, 1, 2, 2), bps.mv(y, 3))
    """)
    running = PlanThread(lab.RE, script.plan)
    wait(lambda: lab.rig["x"].moving)
    getattr(lab.RE, how)()
    assert running.end() is None
    assert isinstance(running.error, RunEngineInterrupted)
    assert ("y moves to 3" in lab.log) == (how != "halt")
    assert "x halt" in lab.log


def test_a_pause_in_a_move_replays_it_from_the_checkpoint(lab):
    lab.rig["x"].free = False
    script = lab.load("""
        def plan(x: Movable[float], y: Movable[float]):
            yield from bps.checkpoint()
            yield from bps.mv(y, 1)
            yield from bps.mv(x, 1)
            yield from bps.mv(y, 2)
            return "there"
    """)
    running = PlanThread(lab.RE, script.plan)
    wait(lambda: lab.rig["x"].moving)
    lab.RE.request_pause()
    assert running.end() is None
    lab.rig["x"].free = True
    assert lab.RE.resume().plan_result == "there"
    moves = [line for line in lab.log if "moves" in line]
    assert moves == [f"{d} moves to {n}" for d, n in (("y", 1), ("x", 1), ("y", 1), ("x", 1), ("y", 2))]


CANNOT = {
    "yield Msg('set', x, lambda: 1)": r"message 'set', argument: the function .*<lambda> cannot travel",
    "yield Msg('read', object())": r"message 'read', the device: <object object .* cannot travel",
    "yield from bps.install_suspender(object())": "'install_suspender' is for plans beside the engine",
    "yield from bps.input_plan('name? ')": "'input' is for plans beside the engine",
    "yield Msg('set', Own(), 1)": "'set' of own, a Own that the script made itself",
    "yield Msg('fly_to_the_moon')": "fly_to_the_moon",
    "x.set(1)": r"x.set\(\) was called in a script's process",
    "x.velocitty": "x.velocitty is not there, or not to be had",
}


def test_what_cannot_travel_is_named_and_the_plan_may_go_on(lab):
    tried = "\n".join(
        f"""
            try:
                {line}
            except Exception as error:
                print(error)"""
        for line in CANNOT
    )
    text = f"""
        class Own:
            name, parent = "own", None
            def read(self): return {{}}
            def set(self, value): pass
        def plan(x: Movable[float]):
            {tried.strip()}
            yield from bps.null()
            return "went on"
    """
    assert lab.run(text) == "went on"
    for line, said in zip(lab.printed, CANNOT.values(), strict=True):
        assert re.search(said, line), line


def test_a_calibration_is_set_with_its_reason(lab):
    lab.run("""
        from bluesky.protocols import Movable
        from rdaq_ophyd.plans import set_calibration
        def plan(into: Movable[float] = "calibration.pixel_size"):
            yield from set_calibration(into, 3.5, "measured with a grating")
    """)
    assert lab.rig.calibration.value("pixel_size") == 3.5
    assert lab.rig.calibration.history("pixel_size")[-1].why == "measured with a grating"


def test_a_plan_that_does_not_begin_leaves_no_process(lab):
    began = time.monotonic()
    lab.load("def plan():\n    yield").discard()
    none_left()
    enough = max(2.0, 3 * (time.monotonic() - began))  # to load it, as busy as the machine is
    lab.load("def plan():\n    yield", limits=ScriptLimits(loading=enough))
    none_left(enough + 10)
