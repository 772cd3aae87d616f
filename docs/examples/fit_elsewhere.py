"""An analysis on another machine: hears of each scan, reads it from the catalog, writes its fit back as a run.

It needs nothing of the rig but addresses: pip install bluesky pyzmq scipy 'tiled[client]' bluesky-tiled-plugins

    TILED_API_KEY=... python fit_elsewhere.py http://127.0.0.1:8000/api/v1 --documents 127.0.0.1:5568
    TILED_API_KEY=... python fit_elsewhere.py http://127.0.0.1:8000/api/v1 UID UID   # scans that it did not hear of
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bluesky.callbacks.zmq import ClientCurve, RemoteDispatcher
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from scipy.optimize import curve_fit
from scipy.special import erf
from tiled.client import from_uri

PROGRAM, VERSION = "fit_elsewhere", "1"
LATE = 120.0
"""Seconds until a run that has ended must be in the catalog: documents are here before it is."""

type Rows = list[dict[str, float]]


class Heard:
    """The uids of scans that ended well, from their documents."""

    def __init__(self) -> None:
        self.uids: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._scans: set[str] = set()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start" and len(doc.get("motors", ())) == 1:
            self._scans.add(doc["uid"])
        elif name == "stop" and doc["run_start"] in self._scans:
            # Events that were missed on the way do not matter: the numbers come from the catalog, where all are.
            self._scans.remove(doc["run_start"])
            print(f"heard of {doc['run_start']}: {doc['exit_status']}", flush=True)
            if doc["exit_status"] == "success":
                self.uids.put(doc["run_start"])


def finished(catalog: Any, uid: str) -> Any:
    """The run, as soon as the catalog has its stop document."""
    end = time.monotonic() + LATE
    while True:
        if uid in catalog and (run := catalog[uid]).metadata.get("stop"):
            return run
        if time.monotonic() > end:
            raise TimeoutError(f"{uid} is not in the catalog {LATE:g} s after its end")
        time.sleep(0.2)


def edge(x: np.ndarray, centre: float, radius: float, low: float, high: float) -> np.ndarray:
    """The power past a blade at ``x`` that cuts a Gaussian beam of this 1/e² radius."""
    return low + (high - low) * (1 + erf(np.sqrt(2) * (x - centre) / radius)) / 2


def fitted(primary: Any, motor: str, meter: str) -> tuple[Rows, dict[str, Any]]:
    """Where the edge is and how wide, and what these numbers are."""
    keys = primary.metadata["data_keys"]
    detector = hinted(primary, meter)
    table = primary.read([motor, detector])
    x, y = np.asarray(table[motor], float), np.asarray(table[detector], float)
    first = (x[np.argmin(abs(y - (y[0] + y[-1]) / 2))], np.ptp(x) / 4, y[0], y[-1])
    best, covariance = curve_fit(edge, x, y, first)
    names = ("centre", "radius", "low", "high")
    row = dict(zip(names, map(float, best), strict=True)) | {"centre_error": float(np.sqrt(covariance[0, 0]))}
    row["radius"] = abs(row["radius"])
    sources = {name: detector if name in ("low", "high") else motor for name in row}
    return [row], {name: number(keys[source].get("units", ""), source) for name, source in sources.items()}


def spots(primary: Any, camera: str) -> tuple[Rows, dict[str, Any]]:
    """The centre of mass of each frame: one is fetched after the other, never the whole stack."""
    rows = []
    for index in range(primary[camera].shape[0]):
        frame = np.squeeze(np.asarray(primary[camera][index], float))
        weight = frame - frame.min()
        row, column = np.indices(frame.shape)
        whole = weight.sum() or np.nan
        rows.append({"row": float((row * weight).sum() / whole), "column": float((column * weight).sum() / whole)})
    return rows, {name: number("pixel", camera) for name in ("row", "column")}


def number(units: str, source: str) -> dict[str, Any]:
    return {"dtype": "number", "shape": [], "units": units, "source": f"{PROGRAM}: {source}"}


def hinted(primary: Any, device: str) -> str:
    """What a device is there for: the first field that its hints name."""
    return primary.metadata["hints"][device]["fields"][0]


def is_image(key: dict[str, Any]) -> bool:
    return key["dtype"] == "array" and len([n for n in key["shape"] if n != 1]) == 2


def results(run: Any) -> Iterator[tuple[str, Rows, dict[str, Any]]]:
    """Each stream of the result: its name, its rows, what their columns are."""
    primary, start = run["primary"], run.metadata["start"]
    yield "fit", *fitted(primary, start["motors"][0], start["detectors"][0])
    for name, key in primary.metadata["data_keys"].items():
        if is_image(key):
            yield f"{name}_spots", *spots(primary, name)


def write_back(catalog: Any, run: Any) -> str:
    """Analyse a run; the uid of the new run, which says whose analysis it is."""
    source = run.metadata["start"]
    metadata = {
        "plan_name": PROGRAM,
        "purpose": "analysis",
        "analysis_of": source["uid"],
        "analysis": {"program": PROGRAM, "version": VERSION, "host": socket.gethostname()},
        "sample": source.get("sample", ""),
    }
    streams = list(results(run))  # before anything is written: one that fails leaves no half of a run
    made = compose_run(metadata=metadata)
    writer = TiledWriter(catalog)
    writer("start", made.start_doc)
    for name, rows, keys in streams:
        stream = made.compose_descriptor(name=name, data_keys=keys)
        writer("descriptor", stream.descriptor_doc)
        for row in rows:
            now = time.time()
            writer("event", stream.compose_event(data=row, timestamps=dict.fromkeys(row, now), time=now))
    writer("stop", made.compose_stop())
    return made.start_doc["uid"]


def analyse(catalog: Any, uid: str) -> bool:
    """One scan; what went wrong with it is said, and the next one comes."""
    try:
        print(f"{uid} -> {write_back(catalog, finished(catalog, uid))}", flush=True)
    except (TimeoutError, RuntimeError, ValueError, KeyError, StopIteration) as error:
        print(f"{uid}: no result: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiled", help="address of the catalog, ending in /api/v1; its key is $TILED_API_KEY")
    parser.add_argument("uids", nargs="*", metavar="UID", help="analyse these, and end")
    parser.add_argument("--documents", metavar="HOST:PORT", help="where the proxy gives documents")
    parser.add_argument("--prefix", default="", help="only of this rig")
    parser.add_argument("--keys", nargs=2, type=Path, metavar=("MY.key_secret", "proxy.key"))
    options = parser.parse_args()
    catalog = from_uri(options.tiled, api_key=os.environ.get("TILED_API_KEY"))
    if not options.documents:
        failed = [uid for uid in options.uids if not analyse(catalog, uid)]
        return 1 if failed else 0
    heard = Heard()
    dispatcher = RemoteDispatcher(
        options.documents,
        prefix=options.prefix.encode(),
        deserializer=json.loads,  # as the rig's address says: serializer=json. Pickle would run what others send
        curve_config=ClientCurve(*options.keys) if options.keys else None,
    )
    dispatcher.subscribe(heard)
    threading.Thread(target=dispatcher.start, daemon=True).start()
    print(f"listening at {options.documents}", flush=True)
    while True:
        analyse(catalog, heard.uids.get())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
