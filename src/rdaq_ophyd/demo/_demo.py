"""The demo's steps, each a thing a person does at a bench."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bluesky import RunEngineInterrupted
from bluesky import plans as bp
from bluesky.run_engine import call_in_bluesky_event_loop

from rdaq_ophyd.errors import CatalogError, RdaqError
from rdaq_ophyd.plans import image_stack, knife_edge_scan
from rdaq_ophyd.startup import Session, report_failures, start

from ._watch import EventCounter, acting_when

__all__ = ["run"]

POINTS = 25
FRAMES = 50


@dataclass
class Result:
    """What the demo prints as JSON.

    ``runs`` are as another process read them back; ``stopped_axis`` says where the aborted move left the axis.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    tiled_uri: str = ""
    frames_read_back: int = 0
    stopped_axis: dict[str, Any] = field(default_factory=dict)
    hdf5_files: list[str] = field(default_factory=list)
    plot: str = ""
    seconds: float = 0.0


def run(*, as_json: bool, data_dir: str | None = None) -> int:
    """Run the demo; 0 when every step did what it should.

    :param as_json: print the result as one JSON object, as the last line.
    :param data_dir: where to keep the data; default a new directory below the temporary one, which stays.
    """
    began = time.monotonic()
    if importlib.util.find_spec("matplotlib") is None:
        raise RdaqError(
            "the demo plots with matplotlib, which is not installed", hint="pip install 'rdaq-ophyd[shell]'"
        )
    where = Path(data_dir).expanduser().resolve() if data_dir else Path(tempfile.mkdtemp(prefix="rdaq-demo-"))
    os.environ.setdefault("TILED_PROFILES", str(where / "session" / "tiled-profiles"))  # not the user's own `rdaq`
    result = Result()
    with _reader() as reader, start("sim", data_dir=where, operator="demo", sample="knife edge") as session:
        report_failures(session.rig.failures)
        _say(f"simulated bench: {', '.join(session.rig.devices)}")
        _steps(session, result, reader)
    result.hdf5_files = sorted(map(str, where.rglob("*.h5")))
    result.seconds = round(time.monotonic() - began, 1)
    _say(f"data: {where}")
    _say(f"done in {result.seconds} s; next: rdaq shell")
    if as_json:
        sys.stdout.write(json.dumps(vars(result)) + "\n")
    return 0 if _as_expected(result) else 1


def _steps(session: Session, result: Result, reader: subprocess.Popen[str]) -> None:
    uids = [_scan(session), _stack(session), _abort(session, result)]
    result.tiled_uri = session.catalog.uri
    for uid in uids:
        if not session.catalog.wait_drained(uid, timeout=60):
            raise CatalogError(f"run {uid} did not reach Tiled: {session.catalog.last_error()}", hint="rdaq doctor")
    _say(f"the catalog is at {result.tiled_uri}; reading everything back in another process")
    plot = session.settings.data_dir / "knife_edge.png"
    result.runs = _read_back(session, plot, uids, reader)
    result.frames_read_back = sum(r["frames"] for r in result.runs)
    result.plot = str(plot)
    for r in result.runs:
        _say(f"  {r['uid'][:8]} {r['plan_name']}: {r['exit_status']}, {r['events']} events, {r['frames']} frames")


def _scan(session: Session) -> str:
    rig = session.rig
    result = session.RE(knife_edge_scan(rig["x"], rig["power_meter"], 0.0, 2.4, POINTS, light=rig["laser"]))
    edge = result.plan_result
    _say(f"knife-edge scan, the laser's shutter open for it: {POINTS} points")
    _say(f"  centre {edge.center:.3f} mm, 1/e² radius {edge.radius:.3f} mm")
    uid: str = result.run_start_uids[0]
    return uid


def _stack(session: Session) -> str:
    """Fifty frames over a stage, with a hard pause and a resume in the middle."""
    rig, RE = session.rig, session.RE
    cam = rig["basler"] if "basler" in rig.devices else rig["cam"]
    events = EventCounter()
    token = RE.subscribe(events)
    try:
        with acting_when(lambda: events.count >= FRAMES // 2, lambda: RE.request_pause(defer=False)):
            try:
                RE(image_stack(cam, rig["x"], 1.0, 1.49, FRAMES, 0.01))
            except RunEngineInterrupted:
                _say(f"image stack: paused after {events.count} of {FRAMES} frames; resuming")
        result = RE.resume()
    finally:
        RE.unsubscribe(token)
    _say(f"image stack: {events.count} frames of {cam.name}, {result.exit_status}")
    uid: str = result.run_start_uids[0]
    return uid


def _abort(session: Session, result: Result) -> str:
    """A second scan, aborted while the axis moves; the axis must stand still short of its target."""
    x, RE = session.rig["x"], session.RE
    target = -20.0
    begin = _position(x)
    uids: list[str] = []
    token = RE.subscribe(lambda _name, doc: uids.append(doc["uid"]), "start")
    try:
        with acting_when(lambda: abs(_position(x) - begin) > 0.5, lambda: RE.abort("demo")):
            RE(bp.scan([session.rig["power_meter"]], x, begin, target, 2))
    except RunEngineInterrupted:
        _say("second scan: aborted in mid-move")
    finally:
        RE.unsubscribe(token)
    stopped = _standing(x)
    result.stopped_axis = {"axis": "x", "begin": begin, "target": target, "position": stopped, "stopped": True}
    result.stopped_axis["stopped"] = begin - 0.5 > stopped > target + 0.5
    _say(f"x stands at {stopped:.3f} mm, its target was {target:.1f} mm")
    return uids[0]


def _position(axis: Any) -> float:
    return float(call_in_bluesky_event_loop(axis.locate())["readback"])


def _standing(axis: Any) -> float:
    """Position of an axis once two readings in a row agree (bounded)."""
    last = _position(axis)
    for _ in range(200):
        now = _position(axis)
        if abs(now - last) < 1e-6:
            return now
        last = now
    return float("nan")


@contextmanager
def _reader() -> Iterator[subprocess.Popen[str]]:
    """The process that reads everything back, importing its clients meanwhile."""
    command = [sys.executable, "-m", "rdaq_ophyd.demo._readback"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as reader:
        try:
            yield reader
        finally:
            reader.kill()


def _read_back(session: Session, plot: Path, uids: list[str], reader: subprocess.Popen[str]) -> list[dict[str, Any]]:
    asked = {"uri": session.catalog.uri, "api_key": str(session.catalog.api_key), "uids": uids, "plot": str(plot)}
    out, err = reader.communicate(json.dumps(asked) + "\n", timeout=120)
    if reader.returncode:
        raise CatalogError(f"reading back failed:\n{err[-2000:]}", hint="rdaq doctor")
    runs: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
    return runs


def _as_expected(result: Result) -> bool:
    statuses = [r["exit_status"] for r in result.runs]
    stopped: bool = result.stopped_axis.get("stopped", False)
    events = [r["events"] for r in result.runs]
    everywhere = all(r["databroker"] for r in result.runs)
    right = statuses == ["success", "success", "abort"] and events[:2] == [POINTS, FRAMES] and everywhere
    return right and result.frames_read_back == FRAMES and stopped


def _say(text: str) -> None:
    sys.stdout.write(f"• {text}\n")
    sys.stdout.flush()
