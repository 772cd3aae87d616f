"""Where an axis was at each exposure of a detector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from event_model import DataKey, PartialEventPage

from rdaq_ophyd.capabilities import TimedDetector, TrackedAxis


class AxisAt:
    """Where an axis was at each exposure of a detector, as a stream: an event for each, in their order.

    The key ``<axis>`` is the position, on a straight line between the two samples around the middle of the exposure;
    ``<axis>-measured`` is false where the exposure was before the first sample or after the last one, whose position it
    then is; ``<detector>-time`` is the middle of the exposure.

    :ivar flying: more samples will come, so exposures after the last one wait for them.
    :ivar positions: of the exposures that were collected.
    """

    parent = None

    def __init__(self, axis: TrackedAxis, detector: TimedDetector) -> None:
        self.axis, self.detector = axis, detector
        self.name = f"{axis.name}_at_{detector.name}"
        self.flying = False
        self.positions: list[float] = []

    async def describe_collect(self) -> dict[str, DataKey]:
        """Position in the unit of the axis, whether it was measured, and time in s since 1970."""
        described: Any = self.axis.describe_collect()
        keys: dict[str, DataKey] = described if isinstance(described, dict) else await described
        position = keys[self.axis.name].copy()
        source = position["source"]
        return {
            self.axis.name: position,
            f"{self.axis.name}-measured": DataKey(source=source, dtype="boolean", shape=[]),
            f"{self.detector.name}-time": DataKey(
                source=f"{self.detector.name}.exposure_times", dtype="number", shape=[], units="s", dtype_numpy="<f8"
            ),
        }

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """Those that were not collected yet, as one page."""
        times = self.detector.exposure_times[len(self.positions) :]
        if not len(times):
            return
        places, measured = self.axis.positions.nearest(times)
        if self.flying:
            number = int(np.flatnonzero(measured)[-1]) + 1 if measured.any() else 0
            times, places, measured = times[:number], places[:number], measured[:number]
        if not len(times):
            return
        self.positions += places.tolist()
        stamps = times.tolist()
        data = {
            self.axis.name: places.tolist(),
            f"{self.axis.name}-measured": measured.tolist(),
            f"{self.detector.name}-time": stamps,
        }
        yield PartialEventPage(time=stamps, data=data, timestamps=dict.fromkeys(data, stamps))
