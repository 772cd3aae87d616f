"""What the library's scans share: their metadata, a step, and how a scan becomes one run with its findings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator, maybe_await
from pydantic import Field

from rdaq_ophyd.capabilities import ShutterControl

from ._events import Events, collected
from ._findings import record
from ._light import darkness, lit
from ._units import SECONDS

__all__ = ["Settle", "scan", "step"]
logger = logging.getLogger(__name__)

Settle = Annotated[
    float,
    Field(
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="wait between move and reading, s (0 to 600)",
        json_schema_extra=SECONDS,
    ),
]


def scan[T](
    name: str,
    detectors: Sequence[Readable[Any]],
    axes: Sequence[Any],
    num: int,
    points: Callable[[Events], MsgGenerator[None]],
    find: Callable[[Events], T | None] | None = None,
    units: Mapping[str, Any] | None = None,
    light: ShutterControl | None = None,
    about: Mapping[str, Any] | None = None,
) -> MsgGenerator[T | None]:
    """One run: stage, measure ``points``, record what was found in the stream ``fit``, and return that.

    Where nothing is found, that is told in the log, and a light source that is dark with it.

    :param axes: what is varied, outermost first.
    :param num: points that will be measured, at most.
    :param find: computes the findings, a dataclass of numbers, from the events of the stream ``primary``.
    :param units: devices whose units the placeholders in the findings' metadata stand for (``{"x": stage}``).
    :param light: a source, lit for the run only (see :func:`with_light`).
    :param about: more for the start document.
    """
    md = {
        "plan_name": name,
        "detectors": [d.name for d in detectors],
        "motors": [a.name for a in axes],
        "num_points": num,
        "hints": {"dimensions": [([getattr(a, "name", "time")], "primary") for a in axes] or [(["time"], "primary")]},
        **(about or {}),
    }

    found: list[T | None] = []

    def run(events: Events) -> Generator[Any, Any, None]:
        @bpp.stage_decorator([*detectors, *(a for a in axes if hasattr(a, "stage"))])
        @bpp.run_decorator(md=md)
        def inner() -> Generator[Any, Any, None]:
            yield from points(events)
            found.append(find(events) if find is not None else None)
            # Not before: a camera says what it gives once it has given it.
            named = (yield from _units_of(units)) if units else {}
            yield from bps.checkpoint()
            yield from record(found[0], named, events.left_out)

        yield from inner()

    yield from lit(light, collected(run))
    if find is not None and found[0] is None:
        dark = (yield from darkness(detectors[0])) if light is None else ""
        logger.warning("%s found nothing; %s", name, dark or "no fit to what was measured is to be trusted")
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


def _units_of(devices: Mapping[str, Any]) -> MsgGenerator[dict[str, str]]:
    """The units in which devices read; '' where they do not say."""

    async def ask(device: Any) -> str:
        described = await maybe_await(device.describe())
        hinted = next(iter(getattr(device, "hints", {}).get("fields", [])), device.name)
        return str(described.get(hinted, {}).get("units") or "")

    readable = {name: device for name, device in devices.items() if isinstance(device, Readable)}
    answers = yield from bps.wait_for([lambda d=device: ask(d) for device in readable.values()])
    return dict(zip(readable, (answer.result() for answer in answers or ()), strict=False))
