"""F12: events a second of step scans with our devices, spooled and brought to Tiled, against simulated ones without."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from bluesky.run_engine import RunEngine
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.sim import SimBlobDetector, SimMotor, SimPointDetector

from benchmarks import Result, times
from benchmarks._apart import Apart
from rdaq_ophyd.startup import Session, start

NAME = "F12"
TITLE = (
    "events a second of bp.scan, and of bp.count of a camera, with Tiled, against simulated devices without a writer"
)
POINTS = times(100, 8)
"""Of scan and count; what a run costs that has one point is told beside."""
DIALOGUES = times(20, 4)
"""Points of the scan of an ESP300, which says much more for each."""
ROUNDS = times(3, 2)
EXPOSURE = 1e-3
"""Seconds, of both cameras: as short as ours can."""
SPEED = 1e6
"""Times as fast as the stages of an ESP300 are: its moves take no time, only what is said on the line."""
GOAL = 0.8
CHECKED = "its descriptor is checked against bluesky's schema in the first run of a session"
SHAPE = (240, 320)
"""Rows and columns of the frames that ophyd-async's simulated detector makes."""
PROFILE = """
from benchmarks._bench12 import InstantMeter, InstantStage
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig

rig = Rig("f12")

@rig.device
def stage() -> InstantStage:
    return InstantStage({stage!r})

@rig.device
def meter() -> InstantMeter:
    return InstantMeter({meter!r})

@rig.device
def controller() -> Esp300:
    return Esp300({controller!r}, {{1: "x"}})

@rig.device
def x(controller: Esp300) -> Esp300Axis:
    return controller.axes[1]

@rig.device
def cam(paths) -> SyntheticCamera:
    return SyntheticCamera(paths, height={height}, width={width})
"""


class Ours:
    """A session as a user has it: baseline, spool, the worker that brings everything to Tiled."""

    def __init__(self, session: Session) -> None:
        self.session, self.engine = session, session.RE
        self._rig = session.rig
        session.RE(bps.mv(self._rig["x"].enabled, True))

    def scan(self, points: int, motor: str = "stage") -> Any:
        """A step scan."""
        return bp.scan([self._rig["meter"]], self._rig[motor], 0.0, 0.01, points)

    def count(self, points: int) -> Any:
        """Frames one by one."""
        return _counted(self._rig["cam"], points)


class Peer:
    """ophyd-async's simulated devices on a bare RunEngine, with nobody who listens."""

    def __init__(self, folder: Path) -> None:
        self.engine: Any = RunEngine({}, context_managers=[])
        with init_devices():
            motor, meter = SimMotor(), SimPointDetector(None, num_channels=1)
            camera = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), folder))
        self._motor, self._meter, self._cam = motor, meter, camera
        self.engine(bps.mv(self._meter.acquire_time, 0.0))

    def scan(self, points: int) -> Any:
        """The same step scan."""
        return bp.scan([self._meter], self._motor, 0.0, 0.01, points)

    def count(self, points: int) -> Any:
        """The same frames."""
        return _counted(self._cam, points)


def _counted(camera: Any, points: int) -> Any:
    """``bp.count``, with the exposure prepared once the camera is staged."""
    info = TriggerInfo(number_of_events=1, livetime=EXPOSURE)

    def prepared() -> Any:
        return (yield from bps.prepare(camera, info, wait=True))

    def first(detectors: Any, *_: Any) -> Any:
        nonlocal ready
        if not ready:
            ready = True
            yield from prepared()
        return (yield from bps.one_shot(detectors))

    ready = False
    return bp.count([camera], num=points, per_shot=first)


def _seconds(engine: Any, plan: Any) -> float:
    """Of a whole run, until its stop document was made."""
    ended = 0.0

    def note(_name: str, _document: dict[str, Any]) -> None:
        nonlocal ended
        ended = time.perf_counter()

    token = engine.subscribe(note)
    try:
        began = time.perf_counter()
        engine(plan)
    finally:
        engine.unsubscribe(token)
    return ended - began


@contextmanager
def _both() -> Iterator[tuple[Ours, Peer]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rdaq-bench-")))
        stage, meter = (stack.enter_context(Apart("meter", tcp=True)) for _ in range(2))
        controller = stack.enter_context(Apart("esp300", tcp=True, speed=SPEED))
        profile = folder / "f12.py"
        height, width = SHAPE
        urls = {"stage": stage.url, "meter": meter.url, "controller": controller.url}
        profile.write_text(PROFILE.format(**urls, height=height, width=width))
        (folder / "peer").mkdir()
        session = stack.enter_context(start(str(profile), data_dir=folder / "data"))
        yield Ours(session), Peer(folder / "peer")


def measure() -> Result:
    """In turns, after one round that nobody counts."""
    with _both() as (ours, peer):
        ways: dict[str, tuple[Any, Callable[[int], Any], int]] = {
            "scan": (ours.engine, ours.scan, POINTS),
            "scan, peer": (peer.engine, peer.scan, POINTS),
            "count": (ours.engine, ours.count, POINTS),
            "count, peer": (peer.engine, peer.count, POINTS),
            "scan of an ESP300": (ours.engine, lambda points: ours.scan(points, "x"), DIALOGUES),
            "one point": (ours.engine, ours.scan, 1),
            "one point, peer": (peer.engine, peer.scan, 1),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, (engine, plan, points) in ways.items():
                seconds = _seconds(engine, plan(points))
                if number:
                    rates[name].append(points / seconds)
        runs = len(list(ours.session.c))  # which waits until all of it is there
    ratios = {
        what: statistics.median(a / b for a, b in zip(rates[what], rates[against], strict=True))
        for what, against in (("scan", "scan, peer"), ("count", "count, peer"), ("scan of an ESP300", "scan, peer"))
    }
    worst = min(("scan", "count"), key=lambda what: ratios[what])
    return Result(
        figure=statistics.median(rates[worst]),
        peer=statistics.median(rates[f"{worst}, peer"]),
        ratio=ratios[worst],
        goal=GOAL,
        unit="events/s",
        peer_name="simulated devices of ophyd-async, bare RunEngine, no writer",
        notes=[
            f"{ROUNDS} rounds of {POINTS} points each (ESP300: {DIALOGUES}), in turns",
            "the figure is the worse of scan and count",
            *(
                f"{name}: median {statistics.median(found):.4g} events/s"
                for name, found in rates.items()
                if "one" not in name
            ),
            *(f"{what}: {ratio:.3g} of the peer" for what, ratio in ratios.items()),
            *(
                f"a scan of {name}: median {1e3 / statistics.median(rates[name]):.4g} ms, from its start to its end"
                for name in ("one point", "one point, peer")
            ),
            f"ours has a baseline of all devices; {CHECKED}; the peer none",
            "scan: a written position and a reading, each asked for over TCP of an instrument in another process that "
            "answers at once; the peer's are variables in memory",
            "scan of an ESP300: its whole dialogue for each point, moves that take no time; reported, no goal",
            f"count: {SHAPE[1]} × {SHAPE[0]} 16-bit frames, {1e3 * EXPOSURE:g} ms; ours into SWMR HDF5 with seven "
            "scalars each, the peer's as ophyd-async writes them",
        ],
        also={"Tiled has every run": runs == 4 * (ROUNDS + 1)},
    )
