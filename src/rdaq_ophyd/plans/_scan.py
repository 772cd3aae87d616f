"""What the library's scans share: their metadata, a step, and how a scan becomes one run with its findings."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator, maybe_await
from pydantic import Field

from ._events import Events, collected
from ._findings import record

__all__ = ["Settle", "scan", "step", "units_of"]

Settle = Annotated[
    float, Field(ge=0, le=600, allow_inf_nan=False, description="wait between move and reading, s (0 to 600)")
]


def scan[T](
    name: str,
    detectors: Sequence[Readable[Any]],
    axes: Sequence[Any],
    num: int,
    points: Callable[[Events], MsgGenerator[None]],
    find: Callable[[Events], T | None] = lambda _: None,
    units: Mapping[str, str] | None = None,
) -> MsgGenerator[T | None]:
    """One run: stage, measure ``points``, record what was found in the stream ``fit``, and return that.

    :param axes: what is varied, outermost first.
    :param num: points that will be measured, at most.
    :param find: computes the findings, a dataclass of numbers, from the events of the stream ``primary``.
    :param units: see :func:`record`.
    """
    md = {
        "plan_name": name,
        "detectors": [d.name for d in detectors],
        "motors": [a.name for a in axes],
        "num_points": num,
        "hints": {"dimensions": [([getattr(a, "name", "time")], "primary") for a in axes] or [(["time"], "primary")]},
    }

    found: list[T | None] = []

    def run(events: Events) -> Generator[Any, Any, None]:
        @bpp.stage_decorator([*detectors, *(a for a in axes if hasattr(a, "stage"))])
        @bpp.run_decorator(md=md)
        def inner() -> Generator[Any, Any, None]:
            yield from points(events)
            found.append(find(events))
            yield from bps.checkpoint()
            yield from record(found[0], units)

        yield from inner()

    yield from collected(run)
    return found[0]


def step(
    detectors: Sequence[Readable[Any]], moves: Sequence[tuple[Movable[Any], float]], settle: float
) -> MsgGenerator[None]:
    """Move all axes together, wait, and read detectors and axes as one event."""
    yield from bps.checkpoint()
    yield from bps.mv(*(item for move in moves for item in move))
    if settle:
        yield from bps.sleep(settle)
    axes = [axis for axis, _ in moves if isinstance(axis, Readable)]
    yield from bps.trigger_and_read([*detectors, *axes])


def units_of(**devices: Any) -> MsgGenerator[dict[str, str]]:
    """The units in which devices read (``x=stage``), for the findings; '' where they do not say."""

    async def ask(device: Any) -> str:
        described = await maybe_await(device.describe())
        hinted = next(iter(getattr(device, "hints", {}).get("fields", [])), device.name)
        return str(described.get(hinted, {}).get("units") or "")

    readable = {name: device for name, device in devices.items() if isinstance(device, Readable)}
    answers = yield from bps.wait_for([lambda d=device: ask(d) for device in readable.values()])
    return dict(zip(readable, (answer.result() for answer in answers or ()), strict=False))
