"""What the logics of all detectors that stream have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ophyd_async.core import DetectorAcquireLogic, DetectorDataLogic, DetectorTrigger, TriggerInfo

from ._documents import StreamDocuments
from ._pipeline import StreamPipeline
from ._words import Words


def check_info(name: str, value: TriggerInfo, supported: Collection[DetectorTrigger], words: Words, hint: str) -> None:
    """Refuse more than one row an event, times without an end, and triggers that there are not.

    :param hint: what to do instead of such a trigger.
    :raises CameraError or CardError: says what it can do instead.
    """
    if value.collections_per_event > 1 or value.exposures_per_collection > 1:
        raise words.error(
            f"{name}: {value.collections_per_event} collections of {value.exposures_per_collection} exposures "
            "in one event are not supported",
            hint=f"take one {words.item} an event: number_of_events=n, collections_per_event=1",
        )
    for what in ("livetime", "deadtime"):
        if not math.isfinite(seconds := getattr(value, what)):
            raise words.error(f"{name}: {what} = {seconds} s", hint="give a finite number of seconds")
    if value.trigger not in supported:
        raise words.error(f"{name}: trigger {value.trigger.name} is not supported", hint=hint)


@dataclass
class StreamAcquireLogic(DetectorAcquireLogic):
    """Stop the instrument, and wait for it; how it starts is its own affair."""

    pipeline: StreamPipeline[Any, Any, Any]

    @abstractmethod
    async def start_acquiring(self, count: int | None = None, /) -> None:
        """Take ``count`` items, else as many as prepared (0: until stopped)."""

    async def wait_for_idle(self) -> None:
        """Wait until the instrument has stopped."""
        await self.pipeline.wait_idle()

    async def ensure_stopped(self) -> None:
        """Stop the instrument."""
        await self.pipeline.halt()


@dataclass
class StreamDataLogic[D: StreamDocuments](DetectorDataLogic):
    """One HDF5 file a stage."""

    pipeline: StreamPipeline[Any, Any, Any]
    documents: D | None = field(default=None, kw_only=True)

    async def stop(self) -> None:
        """Close the file.

        Rows that no document tells of go from one that documents do tell of: its readers would count them in, and
        take them for the first rows of the run's next file.
        """
        told = self.documents.told if self.documents is not None else 0
        await self.pipeline.close(told or None)
        self.documents = None
