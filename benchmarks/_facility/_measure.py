"""All that is measured of one set-up, one thing after the other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks._facility._arithmetic import Costs, delays
from benchmarks._facility._cost import cpu_seconds, memory
from benchmarks._facility._databases import bulk_uid
from benchmarks._facility._fill import fill, sample_of
from benchmarks._facility._growth import Growth, grow
from benchmarks._facility._outages import Compared, Outage, compare, outage
from benchmarks._facility._readers import Readers, Watch, quiet_queries
from benchmarks._facility._recording import Load, sample
from benchmarks._facility._rigs import Rig
from benchmarks._facility._setups import SetUp


@dataclass(frozen=True)
class Size:
    """How much.

    :param runs: of each rig, at ``rate`` frames a second.
    :param readers: beside them.
    :param flood: runs of each rig, as fast as it goes.
    :param updates: of an array that grows, and again for twice as many.
    :param catalogs: runs in the catalog when it is asked, one size after the other.
    :param repeats: of each question.
    :param requests: of one kind, to see what any request costs.
    :param kills: what is killed; None: all that can be.
    :param seconds: for any one step.
    """

    rigs: int = 4
    runs: int = 2
    frames: int = 100
    rate: float = 20.0
    readers: int = 4
    flood: int = 10
    updates: int = 60
    catalogs: Sequence[int] = (10_000,)
    repeats: int = 20
    requests: int = 60
    kills: Sequence[str] | None = None
    seconds: float = 400.0


@dataclass
class Figures:
    """Of one set-up.

    :ivar waits: from flush to readable, s: of the first 2 s of each run, in which the catalog makes it, and later.
    :ivar asked: seconds of answers beside the load, by kind.
    :ivar events: (and frames) a second that rigs recorded beside readers; ``drained`` the seconds that the end took.
    :ivar flood: (runs, frames, seconds, CPU seconds, bytes in the databases).
    :ivar request: CPU seconds of a request that needs no key, and of one that only has to look at the root.
    :ivar growths: arrays that grew.
    :ivar queries: by runs in the catalog, by kind: seconds; ``query_cpu`` CPU seconds of one.
    :ivar filled: by runs in the catalog, (bytes a run, seconds) of filling it.
    :ivar memory: of servers, bytes: at first, after the load, with the largest catalog.
    """

    name: str
    waits: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    asked: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    events: float = 0.0
    drained: float = 0.0
    load_cpu: float = 0.0
    flood: tuple[int, int, float, float, int] = (0, 0, 0.0, 0.0, 0)
    request: tuple[float, float] = (0.0, 0.0)
    growths: list[Growth] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    compared: Compared = field(default_factory=Compared)
    queries: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    query_cpu: float = 0.0
    filled: dict[int, tuple[float, float]] = field(default_factory=dict)
    memory: list[dict[str, int]] = field(default_factory=list)

    def costs(self) -> Costs:
        """What a run, an update and a question cost."""
        runs, _, _, cpu, size = self.flood
        best = self.growths[-1]
        return Costs(
            run=cpu / runs,
            update=best.cpu / best.updates,
            query=self.query_cpu,
            run_bytes=self.filled[max(self.filled)][0] if self.filled else size / runs,
            update_bytes=best.bytes / best.updates,
            told_bytes=best.told / best.updates,
        )


def uids(count: int) -> list[str]:
    """Of runs to come."""
    return [str(uuid.uuid4()) for _ in range(count)]


def measure(setup: SetUp, size: Size, say: Callable[[str], object]) -> Figures:
    """Everything, of one set-up that runs.

    :raises TimeoutError: something did not come to its end.
    """
    found = Figures(setup.name, memory=[memory(setup.servers())])
    with setup.rigs(size.rigs) as rigs:
        first = uids(1)
        rigs[0].record(first, Load(10))()
        _drained(rigs, size.seconds)
        template = first[0]
        for what, step in (
            (
                "rigs at their pace, readers beside them",
                lambda: _paced(setup, rigs, size, (template, sample(1), rigs[0].name), found),
            ),
            ("as fast as it goes", lambda: _flood(setup, rigs, size, found)),
            ("one request after the other", lambda: _requests(setup, size, found)),
            ("an array grows", lambda: _growths(setup, size, found)),
            ("something is killed", lambda: _outages(setup, rigs, size, found)),
        ):
            say(f"{setup.name}: {what} …")
            step()
        say(f"{setup.name}: what was recorded is compared with what is served …")
        found.compared = compare(setup)
        found.memory.append(memory(setup.servers()))
        before = 0
        for runs in size.catalogs:
            say(f"{setup.name}: {runs} runs in the catalog …")
            _fill_and_ask(setup, size, (template, rigs[0].name), (before, runs), found)
            before = runs
        found.memory.append(memory(setup.servers()))
    return found


def _drained(rigs: Sequence[Rig], seconds: float) -> None:
    end = time.monotonic() + seconds
    for rig in rigs:
        if not rig.drained(max(0.0, end - time.monotonic())):
            raise TimeoutError(f"{rig.name} did not get rid of its runs within {seconds:.0f} s")


def _paced(setup: SetUp, rigs: Sequence[Rig], size: Size, known: tuple[str, str, str], found: Figures) -> None:
    load = Load(size.frames, rate=size.rate)
    names = [uids(size.runs) for _ in rigs]
    watch = Watch(setup, names[-1], size.frames, size.seconds)
    cpu = cpu_seconds(setup.servers())
    with Readers(setup, size.readers, known) as readers:
        watch.start()
        began = time.monotonic()
        done = [wait() for wait in [rig.record(each, load) for rig, each in zip(rigs, names, strict=True)]]
        over = time.monotonic()
        _drained(rigs, size.seconds)
        found.drained = time.monotonic() - over
        watch.join()
    found.load_cpu = (cpu_seconds(setup.servers()) - cpu) / (time.monotonic() - began)
    found.events = sum(run.frames for runs in done for run in runs) / (over - began)
    for run in done[-1]:
        waits, early = delays(watch.seen[run.uid], run.flushed), int(2 * size.rate / load.block)
        found.waits[0].extend(waits[:early])
        found.waits[1].extend(waits[early:])
    found.asked, found.failed = readers.seconds, readers.failed


def _flood(setup: SetUp, rigs: Sequence[Rig], size: Size, found: Figures) -> None:
    load, runs = Load(20), size.flood * len(rigs)
    cpu, held, began = cpu_seconds(setup.servers()), setup.databases.bytes(), time.monotonic()
    for wait in [rig.record(uids(size.flood), load) for rig in rigs]:
        wait()
    _drained(rigs, size.seconds)
    seconds = time.monotonic() - began
    used, grown = cpu_seconds(setup.servers()) - cpu, setup.databases.bytes() - held
    found.flood = (runs, runs * load.frames, seconds, used, grown)


def _requests(setup: SetUp, size: Size, found: Figures) -> None:
    asking, used = setup.asking(), []
    for path in ("/", "/metadata/"):
        asking.get(path)
        cpu = cpu_seconds(setup.servers())
        for _ in range(size.requests):
            asking.get(path)
        used.append((cpu_seconds(setup.servers()) - cpu) / size.requests)
    asking.close()
    found.request = (used[0], used[1])


def _growths(setup: SetUp, size: Size, found: Figures) -> None:
    layout = [*setup.layouts.values()][-1]
    for grouped in (False, True):
        for times in (1, 2):
            found.growths.append(grow(setup, layout, times * size.updates, 50, grouped=grouped))


def _outages(setup: SetUp, rigs: Sequence[Rig], size: Size, found: Figures) -> None:
    load = Load(size.frames, rate=size.rate)
    for kill in setup.kills():
        if size.kills is None or kill.what in size.kills:
            found.outages.append(outage(rigs, kill, load, size.seconds))


def _fill_and_ask(setup: SetUp, size: Size, known: tuple[str, str], numbers: tuple[int, int], found: Figures) -> None:
    before, runs = numbers
    held, began = setup.databases.bytes(), time.monotonic()
    fill(setup.databases, known[0], before + 1, runs)
    seconds = time.monotonic() - began
    found.filled[runs] = (setup.databases.bytes() - held) / (runs - before), seconds
    cpu = cpu_seconds(setup.servers())
    asked = quiet_queries(setup, known[1], runs, size.repeats, lambda n: (bulk_uid(n), sample_of(n)))
    found.query_cpu = (cpu_seconds(setup.servers()) - cpu) / (len(asked) * (size.repeats + 1))
    found.queries[runs] = asked
