"""Exposures that an electrical signal starts: one at each rising edge of a line into the camera."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from ophyd_async.core import SignalR, SignalRW, soft_signal_rw

from rdaq_ophyd.errors import LimitError

from ._logics import CameraTriggerLogic
from ._pipeline import FramePipeline


@runtime_checkable
class EdgeTriggered(Protocol):
    """What the driver of a camera with a trigger input has besides the methods of a CameraDriver."""

    def trigger_lines(self) -> tuple[str, ...]:
        """The inputs that can start an exposure, by the camera's own names."""
        ...

    def arm_edges(self, line: str | None) -> None:
        """From the next ``start`` on: expose at each rising edge of ``line``; None: the camera times itself."""
        ...


@dataclass
class EdgeTriggerLogic(CameraTriggerLogic):
    """Also exposures that begin at an edge and last as long as set."""

    line: SignalRW[str] | None = None

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        """Let the camera time itself."""
        await super().prepare_internal(num, livetime, deadtime)
        await asyncio.to_thread(_edges(self.pipeline).arm_edges, None)

    async def prepare_edge(self, num: int, livetime: float) -> None:
        """Wait for edges of the chosen line; ``livetime`` (s) sets the exposure, 0 keeps it."""
        assert self.line is not None
        await super().prepare_internal(num, livetime, 0.0)
        await asyncio.to_thread(_edges(self.pipeline).arm_edges, await self.line.get_value())
        self.edges = True


def trigger_logic(
    pipeline: FramePipeline, exposure: SignalRW[float], config: set[SignalR[Any]], line: SignalRW[str] | None
) -> CameraTriggerLogic:
    """The trigger logic of a camera, with edges where it has a trigger line."""
    if line is None:
        return CameraTriggerLogic(pipeline, exposure, config)
    return EdgeTriggerLogic(pipeline, exposure, {*config, line}, line=line)


def trigger_line(pipeline: FramePipeline, first: str) -> SignalRW[str] | None:
    """The signal that chooses the input, ``first`` to begin with; None for a camera that has none."""
    if not isinstance(pipeline.driver, EdgeTriggered):
        return None
    chosen = [first]

    async def put(value: str | None) -> str:
        driver = pipeline.driver
        known = await asyncio.to_thread(_edges(pipeline).trigger_lines)
        if value not in known:
            raise LimitError(f"{driver.label}: no trigger input {value!r}", hint=f"it has {', '.join(known)}")
        chosen[0] = value
        return value

    return soft_signal_rw(str, first, getter=lambda: chosen[0], setter=put)


def _edges(pipeline: FramePipeline) -> EdgeTriggered:
    # Chosen when the device was made; the synthetic camera that stands in for it in mock mode has edges too.
    return cast(EdgeTriggered, pipeline.driver)
