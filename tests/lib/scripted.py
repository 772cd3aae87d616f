"""An engine with soft devices, and scripts that run on it from processes of their own."""

from __future__ import annotations

import asyncio
import os
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from bluesky import Msg
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StandardReadable, soft_signal_rw
from softaxis import SoftAxis
from softlaser import TunableLaser

from rdaq_ophyd.rig import Rig
from rdaq_ophyd.scripts import Script, ScriptLimits, Source, _process
from rdaq_ophyd.scripts._folder import MARK
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop

# What a script's process runs is covered, too.
_process.KEPT += ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
QUICK = ScriptLimits(thinking=5.0, ending=2.0)
HEAD = """
import os, sys, time
from typing import Any
import bluesky.plan_stubs as bps, bluesky.plans as bp, bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

"""


class Meter(StandardReadable):
    """One number, and a choice."""

    def __init__(self, name: str) -> None:
        with self.add_children_as_readables():
            self.power = soft_signal_rw(float, 1.0, units="W")
        self.range = soft_signal_rw(int, 1)
        super().__init__(name=name)


class Lab:
    """Devices ``x``, ``y`` (axes), ``meter`` and ``laser``; ``log`` has what was done to them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.printed: list[str] = []
        self.rig = Rig("soft")
        devices = [SoftAxis("x", self.log), SoftAxis("y", self.log), Meter("meter"), TunableLaser("laser", self.log)]
        for device in devices:
            self.rig.add(device.name, lambda device=device: device, place="here")
        self.rig.build()
        for device in devices[:2]:
            device.log = self.log  # its name gave it one of ophyd-async's
        self.rig.calibration.add("pixel_size", 3.45, units="um")
        self.RE: Any = make_run_engine(
            {}, scan_id_source=lambda md: 1, devices=lambda: self.rig.devices.values(), person=False
        )
        self.RE.record_interruptions = False
        self.RE.plan_end.__enter__()
        call_in_bluesky_event_loop(self.rig.connect(), timeout=20)

    def load(self, text: str, *arguments: str, limits: ScriptLimits = QUICK, name: str = "scan.py") -> Script:
        """A script; its imports are there already."""
        self.printed.clear()
        source = Source(name, (HEAD + textwrap.dedent(text)).encode(), arguments)
        loading = Script.load(source, self.rig, limits, self.printed.append)
        return asyncio.run_coroutine_threadsafe(loading, self.RE.loop).result(60)

    def run(self, text: str, *arguments: str, **more: Any) -> Any:
        """Run it; what its plan returned."""
        return self.RE(self.load(text, *arguments, **more).plan).plan_result

    def close(self) -> None:
        self.RE.plan_end.__exit__()
        call_in_bluesky_event_loop(self.rig.disconnect(), timeout=20)
        self.rig.close()
        stop_loop(self.RE)


@contextmanager
def a_lab() -> Iterator[Lab]:
    lab = Lab()
    try:
        yield lab
    finally:
        if lab.RE.state == "paused":
            lab.RE.abort()
        lab.close()


def of_scripts() -> list[psutil.Process]:
    """Processes that scripts began, whoever their parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get(MARK, "").startswith(f"{os.getpid()}:")
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def none_left() -> None:
    """Wait until all of them are gone."""
    end = time.monotonic() + 10
    while left := of_scripts():  # looks at every process of the machine: not too often
        assert time.monotonic() < end, left
        time.sleep(0.05)


def recorded(messages: list[Msg]) -> list[Any]:
    """Messages as something that two runs have in common: devices by name, invented names by their order.

    What the engine awaits while a script thinks is left out.
    """
    known: dict[Any, str] = {}

    def same(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: same(each) for key, each in value.items() if key != "token"}
        if isinstance(value, list | tuple):
            return [same(each) for each in value]
        if isinstance(value, str) and ("-" in value):
            return known.setdefault(value, f"name {len(known)}")
        if callable(value) and not isinstance(value, type):
            return "a function"
        return getattr(value, "name", value)

    return [
        [m.command, getattr(m.obj, "name", m.obj), same(m.args), same(m.kwargs), m.run]
        for m in messages
        if not _thinks(m)
    ]


def _thinks(message: Msg) -> bool:
    factories = message.args[0] if message.command == "wait_for" else []
    return any(getattr(f, "__code__", _NONE).co_filename.endswith(_DRIVING) for f in factories)


_NONE = recorded.__code__
_DRIVING = ("rdaq_ophyd/scripts/_plan.py", "rdaq_ophyd/scripts/_talk.py")
