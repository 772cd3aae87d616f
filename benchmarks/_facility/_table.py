"""The tables that are printed and written into docs/reference/catalog-load.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import spread
from benchmarks._facility._arithmetic import Facility, exponent
from benchmarks._facility._growth import Growth
from benchmarks._facility._http import KINDS
from benchmarks._facility._measure import Figures, Size

MB = 2.0**20


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def page(found: Sequence[Figures], size: Size, facts: Sequence[str]) -> str:
    """The whole page.

    :param found: of each set-up.
    :param facts: about machine and versions, one a line.
    """
    parts: list[tuple[str, Callable[[Sequence[Figures], Size], list[str]]]] = [
        ("Rigs at their pace, readers beside them", _paced),
        ("As fast as it goes", _flood),
        ("An array that grows", _growth),
        ("Killed in the middle", _outages),
        ("Catalogs of many runs", _queries),
        ("Memory of the servers", _memory),
        ("What 50 rigs and 10⁸ frames a day would take", _facility),
    ]
    lines = [
        "# How far a catalog goes",
        "",
        *(f"- {fact}" for fact in facts),
        f"- {size.rigs} rigs, {size.readers} readers, rigs, readers and all servers on this one machine",
        "- PostgreSQL without fsync; frames of 16 × 16 pixels: they go past the catalog",
    ]
    for title, part in parts:
        lines += ["", f"## {title}", "", *part(found, size)]
    return "\n".join(lines) + "\n"


def _columns(found: Sequence[Figures], rows: Sequence[tuple[str, Callable[[Figures], str]]]) -> list[str]:
    return table(["", *(each.name for each in found)], [[name, *(say(one) for one in found)] for name, say in rows])


def _ms(seconds: Sequence[float]) -> str:
    return spread(seconds, "ms", 1e3) if seconds else "–"


def _waits(seconds: Sequence[float]) -> str:
    return spread(seconds, "s") if seconds else "–"


def _paced(found: Sequence[Figures], size: Size) -> list[str]:
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("events and frames a second, all rigs", lambda f: f"{f.events:.0f}"),
        ("flush to readable, first 2 s of a run", lambda f: _waits(f.waits[0])),
        ("flush to readable, later", lambda f: _waits(f.waits[1])),
        ("cores busy, all servers", lambda f: f"{f.load_cpu:.2f}"),
        ("seconds until the catalog had all, after the last run", lambda f: f"{f.drained:.1f}"),
        ("questions answered / failed", lambda f: f"{sum(map(len, f.asked.values()))} / {len(f.failed)}"),
        *((kind, lambda f, kind=kind: _ms(f.asked[kind])) for kind in KINDS),
    ]
    said = f"{size.runs} runs of {size.frames} frames for each rig, {size.rate:g} frames a second, an event with each."
    return [said, "", *_columns(found, rows)]


def _flood(found: Sequence[Figures], _size: Size) -> list[str]:
    return _columns(
        found,
        [
            ("runs", lambda f: f"{f.flood[0]} of {f.flood[1] // f.flood[0]} frames and events"),
            ("runs a second", lambda f: f"{f.flood[0] / f.flood[2]:.1f}"),
            ("events a second, frames registered a second", lambda f: f"{f.flood[1] / f.flood[2]:.0f}"),
            ("CPU of all servers, a run", lambda f: f"{1e3 * f.flood[3] / f.flood[0]:.0f} ms"),
            ("CPU of a request that needs no key", lambda f: f"{1e3 * f.request[0]:.0f} ms"),
            ("CPU of a request with a key, that asks for next to nothing", lambda f: f"{1e3 * f.request[1]:.0f} ms"),
            ("bytes in the databases, a run", lambda f: f"{f.flood[4] / f.flood[0]:.0f}"),
        ],
    )


def _growth(found: Sequence[Figures], _size: Size) -> list[str]:
    rows = []
    for one in found:
        for small, large in zip(one.growths[::2], one.growths[1::2], strict=True):
            power = exponent((small.frames, small.bytes), (large.frames, large.bytes))
            rows += [_grown(one.name, small, "–"), _grown(one.name, large, f"{power:.2f}")]
    head = ["", "rows of a chunk", "frames", "updates", "bytes of structures", "power", "bytes in Redis"]
    return [
        "An array of frames is registered, and has 50 more at each update. What the catalog keeps of that, with a "
        "chunk for each frame as in the file, and with chunks of 64 MiB as our writer tells of it:",
        "",
        *table([*head, "CPU an update", "updates a second, one writer"], rows),
    ]


def _grown(name: str, one: Growth, power: str) -> list[str]:
    kept = [f"{one.frames}", f"{one.updates}", f"{one.bytes}", power, f"{one.told}"]
    costs = [f"{1e3 * one.cpu / one.updates:.0f} ms", f"{one.updates / one.seconds:.0f}"]
    return [name, "many" if one.grouped else "1", *kept, *costs]


def _outages(found: Sequence[Figures], _size: Size) -> list[str]:
    rows = [
        [one.name, each.what, f"{each.runs}", f"{each.recording:+.2f} s", f"{each.back:.1f} s"]
        for one in found
        for each in one.outages
    ]
    said = []
    for one in found:
        what = one.compared
        verdict = f"{len(what.wrong)} DIFFER" if what.wrong else "all the same, none twice"
        said.append(
            f"- {one.name}: afterwards {what.runs} runs, {what.events} events and {what.frames} frames were compared "
            f"with what each rig recorded: {verdict}"
        )
        said += [f"  - {wrong}" for wrong in what.wrong[:10]]
    head = ["", "killed for 2 s", "runs meanwhile", "recording took longer by", "all in the catalog, after it was up"]
    return [*table(head, rows), "", *said]


def _queries(found: Sequence[Figures], _size: Size) -> list[str]:
    rows = []
    for one in found:
        for runs, asked in one.queries.items():
            rows.append([one.name, f"{runs}", *(_short(asked[kind]) for kind in KINDS), f"{one.filled[runs][0]:.0f}"])
    return [
        "Filled in by copies of a run that the worker wrote, in the databases themselves; p50 / max of an answer, ms.",
        "",
        *table(["", "runs", *KINDS, "bytes a run"], rows),
    ]


def _short(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return f"{1e3 * ordered[len(ordered) // 2]:.0f} / {1e3 * ordered[-1]:.0f}"


def _memory(found: Sequence[Figures], _size: Size) -> list[str]:
    rows = []
    for one in found:
        for name in one.memory[-1]:
            taken = [each.get(name, 0) / MB for each in one.memory]
            rows += [[f"{one.name}: {name}", *(f"{size:.0f} MB" for size in taken)]]
    return table(["", "at first", "after the load", "with the largest catalog"], rows)


def _facility(found: Sequence[Figures], _size: Size) -> list[str]:
    wanted = Facility()
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("CPU a run", lambda f: f"{1e3 * f.costs().run:.0f} ms"),
        ("CPU an update", lambda f: f"{1e3 * f.costs().update:.0f} ms"),
        ("CPU a question", lambda f: f"{1e3 * f.costs().query:.0f} ms"),
        ("cores busy with updates", lambda f: f"{wanted.needs(f.costs()).updates:.1f}"),
        ("cores busy with runs", lambda f: f"{wanted.needs(f.costs()).runs:.1f}"),
        ("cores busy with readers", lambda f: f"{wanted.needs(f.costs()).queries:.1f}"),
        ("cores to have, half of them busy", lambda f: f"{wanted.needs(f.costs()).cores:.0f}"),
        ("databases, a day", lambda f: f"{wanted.needs(f.costs()).bytes_a_day / MB:.0f} MB"),
        ("what is told, kept for an hour", lambda f: f"{wanted.needs(f.costs()).redis / MB:.0f} MB"),
    ]
    said = (
        f"{wanted.rigs} rigs with a camera each, runs of {wanted.run} frames: {wanted.runs:.0f} runs a day, "
        f"{wanted.updates:.0f} updates a second, {wanted.queries:g} questions a second. "
        "The reckoning is explained in [What a facility needs](../explanations/facility.md)."
    )
    return [said, "", *_columns(found, rows)]
