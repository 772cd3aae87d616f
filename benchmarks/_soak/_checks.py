"""What must hold after a soak: nothing lost, nothing grown, every stop told of."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks._served import Served
from rdaq_ophyd.catalog import EmbeddedCatalog

MOST_GROWTH = 24 << 20
"""Bytes of memory by which the daemon may grow between the middle third and the last."""
WARMING = 120.0
"""Seconds in which a daemon still fills what it keeps; a shorter soak may grow three times as much."""
STOP_WITHIN = 10.0
"""Seconds until all verdicts are there."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    holds: bool
    detail: str = ""


@dataclass
class Seen:
    """What was seen meanwhile.

    :ivar told: by clients, kind by kind.
    :ivar memory: (seconds, bytes) of the daemon.
    :ivar stops: (when, verdicts, whether the stop came to the instrument, seconds until the verdicts).
    """

    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    memory: list[tuple[float, int]] = field(default_factory=list)
    stops: list[tuple[str, dict[str, str], bool, float]] = field(default_factory=list)


def check(daemon: Served, seen: Seen, patience: float) -> list[Finding]:
    """Look at everything; the daemon still runs, and its clients are gone.

    :param patience: seconds for what is on its way.
    """
    quiet = _wait(lambda: daemon.metric("rdaq_grpc_calls_in_progress") == 0, patience)
    drained = _wait(lambda: daemon.metric("rdaq_catalog_behind_documents") == 0, patience)
    recorded = _recorded(daemon.data)
    return [
        Finding(
            "the daemon is alive and ready", daemon.get("/readyz")[0] == 200, daemon.get("/readyz")[1].strip()[:200]
        ),
        *_clients(seen),
        Finding("no call outlives its client", quiet, f"{daemon.metric('rdaq_grpc_calls_in_progress'):g} under way"),
        _growth(seen.memory),
        *_documents(seen, recorded),
        Finding("the catalog has caught up", drained, f"{daemon.metric('rdaq_catalog_behind_documents'):g} behind"),
        _catalog(daemon.data, recorded),
        _files(daemon),
        *(_stop(*stop) for stop in seen.stops),
        _log(daemon.log),
    ]


def _wait(condition: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _clients(seen: Seen) -> list[Finding]:
    found = []
    for kind, all_told in seen.told.items():
        wrong = [text for told in all_told for text in told.get("wrong", ())]
        numbers: Counter[str] = Counter()
        for told in all_told:
            numbers.update({name: value for name, value in told.items() if isinstance(value, int)})
        detail = "; ".join(wrong) or ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
        found.append(Finding(f"{len(all_told)} × {kind}", not wrong, detail[:500]))
    return found


def _growth(memory: list[tuple[float, int]]) -> Finding:
    third = len(memory) // 3
    if third < 3:
        return Finding("memory is bounded", False, "the soak was too short to say")
    middle, last = (statistics.median(b for _, b in part) for part in (memory[third : 2 * third], memory[2 * third :]))
    seconds, held = np.array(memory[third:], dtype=float).T
    slope = np.polyfit(seconds, held, 1)[0] * 60 / 2**20
    most = MOST_GROWTH * (1 if memory[-1][0] > WARMING else 3)
    peak = max(size for _, size in memory)
    parts = [f"{what} {size / 2**20:.0f} MiB" for what, size in (("middle", middle), ("last", last), ("peak", peak))]
    detail = f"{', '.join(parts)}; slope {slope:+.2f} MiB/min"
    return Finding(f"memory grows by at most {most >> 20} MiB", last - middle <= most, detail)


def _recorded(data: Path) -> dict[str, Counter[str]]:
    """Documents of each run on disk, by kind."""
    found = {}
    for path in (data / "spool").rglob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
        found[path.name.removesuffix(".jsonl")] = Counter(name for name, _ in lines)
    return found


def _documents(seen: Seen, recorded: dict[str, Counter[str]]) -> list[Finding]:
    """Every reliable listener has every document of every run that began after it did."""
    lacking: list[str] = []
    for number, told in enumerate(seen.told.get("documents", [])):
        for uid, counts in told["runs"].items():
            # A run that was open when the listening ended has no end there.
            if uid in told["whole"] and "start" in counts and Counter(counts) != recorded.get(uid):
                lacking.append(f"listener {number}, run {uid[:8]}: {counts} against {dict(recorded.get(uid, {}))}")
    sets = [set(told["whole"]) for told in seen.told.get("documents", [])]
    missing = set.union(*sets) - set.intersection(*sets) if sets else set()
    run = {uid for told in seen.told.get("runners", []) for uid in told["uids"]}
    unseen = [uid for uid in run if sets and uid not in set.union(*sets)]
    unended = [uid for uid in run if not recorded.get(uid, Counter())["stop"]]
    total = sum(sum(counts.values()) for counts in recorded.values())
    return [
        Finding(
            "no listener lacks a document",
            not (lacking or missing or unseen),
            "; ".join(lacking[:3]) or f"{len(run)} runs, {total} documents, {len(missing)} not seen by all",
        ),
        Finding("every run has its end on disk", not unended and bool(run), f"{len(unended)} without"),
    ]


def _catalog(data: Path, recorded: dict[str, Counter[str]]) -> Finding:
    """Tiled tells the same of each run as the record."""
    wrong = []
    with EmbeddedCatalog(data, profile=None) as catalog:
        client = catalog.client
        for uid in recorded:
            try:
                stop = client[uid].metadata["stop"]
            except KeyError:
                wrong.append(f"{uid[:8]} is not there")
                continue
            if stop is None or stop["run_start"] != uid:
                wrong.append(f"{uid[:8]} has no end")
    return Finding("Tiled has every run with its end", not wrong, "; ".join(wrong[:3]) or f"{len(recorded)} runs")


def _files(daemon: Served) -> Finding:
    """In each file every frame is a row or counted, and the counts of all are those of the metrics."""
    rows = lost = discarded = 0
    wrong = []
    for path in (daemon.data / "frames" / "cam").rglob("*.h5"):
        with h5py.File(path, "r", swmr=True) as file:
            numbers, before = file["entry/data/sequence_numbers"][:], file["entry/data/lost_frames"][:]
            detector = file["entry/instrument/detector"]
            if len(numbers) and int(numbers[-1] - numbers[0]) + 1 != len(numbers) + int(before[1:].sum()):
                wrong.append(
                    f"{path.name}: {len(numbers)} rows, {int(before[1:].sum())} lost, numbers {numbers[[0, -1]]}"
                )
            rows += len(numbers)
            lost += int(detector["lost_frames"][()])
            discarded += int(detector["discarded_frames"][()])
    told = {what: int(daemon.metric(f"rdaq_camera_frames_{what}_total")) for what in ("written", "lost", "discarded")}
    exact = (
        rows <= told["written"] <= rows + told["discarded"] and lost <= told["lost"] and discarded <= told["discarded"]
    )
    detail = f"{rows} rows, {lost} lost, {discarded} discarded in files; {told} counted"
    return Finding(
        "every frame is written or counted", exact and rows > 0 and not wrong, "; ".join(wrong[:3]) or detail
    )


def _stop(when: str, verdicts: dict[str, str], arrived: bool, seconds: float) -> Finding:
    safe = arrived and {verdicts.get(axis) for axis in ("x", "y")} == {"confirmed"} and seconds < STOP_WITHIN
    return Finding(f"stop-all {when} is confirmed", safe, f"{seconds:.2f} s: {verdicts}")


def _log(path: Path) -> Finding:
    """Every line is JSON, and none tells of an error of ours."""
    lines, bad = [], 0
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            bad += 1
    ours = [line["message"] for line in lines if "exception" in line and line["logger"].startswith("rdaq_ophyd.server")]
    levels = Counter(line["level"] for line in lines)
    detail = "; ".join(ours[:3]) or f"{dict(levels)}, {bad} lines that are no JSON"
    return Finding("the log tells of no error of the server", not ours and not bad, detail[:500])
