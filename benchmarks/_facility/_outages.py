"""Something is killed while all rigs record; afterwards, what every rig recorded is compared with what is served."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import h5py
import httpx

from benchmarks._facility._http import OCTETS, Asking
from benchmarks._facility._recording import DATASET, Load
from benchmarks._facility._rigs import Rig
from benchmarks._facility._setups import Kill, SetUp
from rdaq_ophyd.catalog._spoolfile import documents_of
from rdaq_ophyd.document_lines import Document

DOWN = 2.0
"""Seconds for which it stays away."""


@dataclass(frozen=True)
class Outage:
    """One of them.

    :param runs: recorded meanwhile.
    :param recording: seconds that the slowest of them took longer than it should.
    :param back: seconds from when it was up again until the catalog had everything.
    """

    what: str
    runs: int
    recording: float
    back: float


@dataclass
class Compared:
    """Runs that were compared, and what was not the same; nothing, if all is well."""

    runs: int = 0
    events: int = 0
    frames: int = 0
    wrong: list[str] = field(default_factory=list)


def outage(rigs: Sequence[Rig], kill: Kill, load: Load, seconds: float) -> Outage:
    """Kill it in the middle of a run of each rig, and start it again.

    :raises TimeoutError: the catalog did not get everything within ``seconds``.
    """
    length, began = load.frames / load.rate, time.monotonic()
    waits = [rig.record([str(uuid.uuid4())], load) for rig in rigs]
    time.sleep(length / 2)
    kill.kill()
    time.sleep(DOWN)
    kill.mend()
    up = time.monotonic()
    done = [wait() for wait in waits]
    recording = max(run.flushed[-1][1] - run.flushed[0][1] for runs in done for run in runs)
    late = recording - length * (1 - load.block / load.frames)
    for rig in rigs:
        if not rig.drained(max(0.0, seconds - (time.monotonic() - began))):
            raise TimeoutError(f"{kill.what}: {rig.name} did not get rid of its runs within {seconds:.0f} s")
    return Outage(kill.what, len(waits), late, time.monotonic() - up)


def compare(setup: SetUp) -> Compared:
    """Every run that is in the spool of any rig, as a rig's own files have it, against the catalog."""
    found, asking = Compared(), setup.asking()
    recorded: dict[str, set[str]] = {rig: set() for rig in setup.layouts}
    for folder in dict.fromkeys(layout.spool for layout in setup.layouts.values()):
        for path in sorted(folder.rglob("*.jsonl")):
            documents = list(documents_of(path))
            start = documents[0][1]
            recorded[start["rig"]["name"]].add(start["uid"])
            found.wrong += [f"{start['uid']}: {what}" for what in _unlike(asking, documents, found)]
    for rig, uids in recorded.items():
        served = asking.runs(rig)
        if len(served) != len(set(served)) or set(served) != uids:
            found.wrong.append(f"{rig}: {len(uids)} runs recorded, {len(served)} served")
    asking.close()
    return found


def _unlike(asking: Asking, documents: Sequence[tuple[str, Document]], found: Compared) -> list[str]:
    """In what the catalog has another run; empty if in nothing."""
    start = documents[0][1]
    events = [document for name, document in documents if name == "event"]
    resource = next(document for name, document in documents if name == "stream_resource")
    with h5py.File(resource["uri"].removeprefix("file://localhost"), "r", libver="latest", swmr=True) as file:
        frames = file[DATASET][()].tobytes()
    found.runs, found.events = found.runs + 1, found.events + len(events)
    found.frames += sum(d["indices"]["stop"] - d["indices"]["start"] for name, d in documents if name == "stream_datum")
    uid = start["uid"]
    try:
        metadata = asking.get(f"/metadata/{uid}").json()["data"]["attributes"]["metadata"]
        table = asking.get(f"/table/full/{uid}/primary/internal", format="application/json").json()
        served = asking.get(f"/array/full/{uid}/primary/cam", format=OCTETS).content
    except httpx.HTTPError as error:
        return [f"it is not served: {error}"]
    differ = []
    if metadata["start"] != start or metadata.get("stop") != documents[-1][1] or documents[-1][0] != "stop":
        differ.append("its start or its stop is another")
    if sorted(zip(table["seq_num"], table["x"], strict=True)) != [(e["seq_num"], e["data"]["x"]) for e in events]:
        differ.append(f"{len(events)} events were recorded, {len(table['x'])} others are served")
    if served != frames:
        differ.append(f"{len(frames)} bytes of frames were recorded, {len(served)} others are served")
    return differ
