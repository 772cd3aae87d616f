"""Clients of all kinds: each a function that goes on until the end, and then tells what it saw.

To add one, write a function and name it in ``CREW`` with how many of it there are. What it tells under ``wrong`` fails
the soak; everything else is for the table, or for a check in ``_checks``.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from rdaq_ophyd.client import Client, RunFailed, connect
from rdaq_ophyd.errors import EngineBusy, MoveInterrupted, RdaqError, StopLatched, TooMuch
from rdaq_ophyd.wire import SERVICE, messages

Told = dict[str, Any]
METHODS = [method.name for method in messages.DESCRIPTOR.services_by_name["Daq"].methods]
HARMLESS = [name for name in METHODS if name not in ("StopAll", "Abort", "Halt", "Finish", "Pause", "Resume")]
TURN = 0.1
"""Seconds after which whoever was refused tries again."""


@dataclass
class World:
    """What a client knows.

    :param address: of the daemon.
    :param over: set when the client is to end.
    :param number: of this one among its kind.
    """

    address: str
    over: threading.Event
    number: int

    def connect(self) -> Client:
        """A client; each is a connection of its own."""
        return connect(self.address, timeout=60)

    def closing(self, stream: Any) -> None:
        """Close a stream when the end comes; iterating over it ends then."""
        threading.Thread(target=lambda: (self.over.wait(), stream.close()), daemon=True).start()


def documents(world: World) -> Told:
    """Whoever must miss none: how many of each kind every run had."""
    runs: dict[str, Counter[str]] = {}
    of_descriptor: dict[str, str] = {}
    whole: list[str] = []
    over = threading.Event()
    wrong: list[str] = []

    def take(name: str, document: dict[str, Any]) -> None:
        if name == "start":
            uid = document["uid"]
        elif name == "descriptor":
            uid = of_descriptor[document["uid"]] = document["run_start"]
        elif name == "stream_resource" or name == "stop":
            uid = document["run_start"]
        else:
            uid = of_descriptor[document["descriptor"]]
        runs.setdefault(uid, Counter())[name] += 1
        if name == "stop":
            whole.append(uid)
        if world.number:  # not all are quick
            time.sleep(0.002)

    with world.connect() as client:
        end = client.subscribe(take)
        world.over.wait()
        over.wait(0.5)  # what was on its way
        end()
    return {"runs": {uid: dict(counts) for uid, counts in runs.items()}, "whole": whole, "wrong": wrong}


def watchers(world: World) -> Told:
    """Whoever shows the state."""
    seen: Counter[str] = Counter()
    with world.connect() as client:
        stream = client._calls.follow("WatchState", messages.GetStateRequest())
        world.closing(stream)
        for state in stream:
            seen[state.engine] += 1
    return {"states": dict(seen), "wrong": [] if seen else ["no state was told"]}


def _watch_frames(world: World, scale: int, pause: float, stall_at: int = 0) -> Told:
    """Frames, and whether those that were skipped are told exactly."""
    got, wrong, offered, skipped = 0, [], 0, 0
    with world.connect() as client:
        frames = client.frames("cam", scale=scale)
        world.closing(frames)
        for frame in frames:
            got += 1
            offered, skipped = frame.offered, frame.skipped
            # What was offered came here, was skipped, or is the one that waits at the camera.
            if offered - skipped - got not in (0, 1):
                wrong.append(f"{offered} offered, {skipped} skipped, {got} came")
            if got == stall_at:
                world.over.wait(stall_seconds(world))
            elif pause:
                world.over.wait(pause)
    return {"frames": got, "offered": offered, "skipped": skipped, "wrong": wrong[:3]}


def stall_seconds(world: World) -> float:
    """A stall is longer than any plan."""
    return 5.0 + 25.0 * world.number


def fast_viewers(world: World) -> Told:
    """All pixels, as quick as they come."""
    return _watch_frames(world, 1, 0.0)


def slow_viewers(world: World) -> Told:
    """A preview, a few a second."""
    return _watch_frames(world, (2, 4)[world.number % 2], 0.3)


def stalled_viewers(world: World) -> Told:
    """One that draws nothing for a long time, and goes on then."""
    return _watch_frames(world, 1, 0.0, stall_at=3)


def readers(world: World) -> Told:
    """Whoever asks for readings without end."""
    counts: Counter[str] = Counter()
    names = ["x", "y", "power_meter", "x.velocity", "cam.exposure"]
    wrong = []
    with world.connect() as client:
        while not world.over.is_set():
            try:
                client.read(random.choice(names))
                counts["read"] += 1
            except TooMuch:
                counts["too much"] += 1
            except RdaqError as error:
                wrong.append(f"{type(error).__name__}: {error}")
            world.over.wait(0.005)
    return {**counts, "wrong": wrong[:3]}


def movers(world: World) -> Told:
    """Whoever moves by hand, between plans; and leaves some moves halfway."""
    counts: Counter[str] = Counter()
    wrong = []
    with world.connect() as client:
        while not world.over.is_set():
            try:
                client.devices.y.enabled.set(True)
                moves = client.devices.y.moving(random.uniform(-1.0, 1.0))
                for _ in moves:
                    if not random.randrange(10):
                        break  # whoever leaves stops the move
                moves.close()
                counts["moved"] += 1
            except (EngineBusy, StopLatched, MoveInterrupted) as error:
                counts[type(error).__name__] += 1
            except RdaqError as error:
                wrong.append(f"{type(error).__name__}: {error}")
            world.over.wait(TURN)
    return {**counts, "wrong": wrong[:3]}


PLANS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("fly_scan", {"cam": "cam", "x": "x", "start": 0.0, "stop": 1.0, "num": 40, "rate": 20.0, "exposure": 0.01}),
    ("knife_edge_scan", {"stage": "x", "power_meter": "power_meter", "start": 0.0, "stop": 2.4, "num": 11}),
    ("image_stack", {"cam": "cam", "stage": "x", "num": 8}),
    ("record", {"analog": "adc", "seconds": 0.5}),
)


def runners(world: World) -> Told:
    """Whoever runs plans, one after the other."""
    counts: Counter[str] = Counter()
    uids, wrong, turn = [], [], 0
    with world.connect() as client:
        client.devices.x.enabled.set(True)
        while not world.over.is_set():
            name, arguments = PLANS[turn % len(PLANS)]
            run = None
            try:
                run = client.begin(name, **arguments)
                run.wait()
                counts["success"] += 1
                turn += 1
                world.over.wait(random.uniform(0.0, 0.4))  # others may move something
            except (EngineBusy, StopLatched) as error:
                counts[type(error).__name__] += 1
                world.over.wait(TURN)
            except RunFailed as error:
                if run is None or run.exit_status != "abort":
                    wrong.append(str(error))
                counts["aborted"] += 1
            except RdaqError as error:
                wrong.append(f"{type(error).__name__}: {error}")
                world.over.wait(TURN)
            uids += run.uids if run is not None else []
    return {**counts, "uids": uids, "wrong": wrong[:3]}


def hostile(world: World) -> Told:
    """Garbage, messages that are too large, calls that there are not, more streams than it may have."""
    codes: Counter[str] = Counter()
    wrong: list[str] = []
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(world.address, options) as channel:
        while not world.over.is_set():
            method = random.choice([*HARMLESS, "Sudo", "../../etc/passwd"])
            size = random.choice([0, 1, 20, 500, 5000, 5 << 20])
            data = b"\xff" * (size > 0) + random.randbytes(min(size, 5000)) * max(1, size // 5000)
            calls = [
                channel.unary_stream(f"/{SERVICE}/{method}")(data, timeout=10) for _ in range(random.choice([1, 1, 80]))
            ]
            for call in calls:
                if random.randrange(2):
                    call.cancel()
                code = call.code().name if call.code() is not None else "NONE"
                codes[code] += 1
                if code in ("UNKNOWN", "INTERNAL"):
                    wrong.append(f"{method} {data[:40]!r}: {code} {call.details()}")
                call.cancel()
            world.over.wait(0.05)
    return {**codes, "wrong": wrong[:3]}


def fickle(world: World) -> Told:
    """One that comes and goes, in the middle of everything."""
    counts: Counter[str] = Counter()
    wrong = []
    doing: list[Callable[[Client], object]] = [
        lambda client: client.state,
        lambda client: next(client.watch()),
        lambda client: client.documents().close(),
        lambda client: client.frames("cam"),
        lambda client: client.read("power_meter"),
    ]
    while not world.over.is_set():
        try:
            with world.connect() as client:
                random.choice(doing)(client)
            counts["visits"] += 1
        except RdaqError as error:
            wrong.append(f"{type(error).__name__}: {error}")
        world.over.wait(0.05)
    return {**counts, "wrong": wrong[:3]}


CREW: dict[Callable[[World], Told], int] = {
    documents: 3,
    watchers: 2,
    fast_viewers: 2,
    slow_viewers: 2,
    stalled_viewers: 2,
    readers: 3,
    movers: 1,
    runners: 1,
    hostile: 2,
    fickle: 2,
}
"""How many there are of each."""
