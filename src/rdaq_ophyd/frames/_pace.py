"""Frame rates that a camera cannot keep are refused before anything starts."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rdaq_ophyd.errors import LimitError

# Cameras round their rates: one that reaches 59.99 Hz serves 60.
_ROUNDING = 2e-4


@runtime_checkable
class Paced(Protocol):
    """What the driver of a camera that knows its frame rates has besides the methods of a CameraDriver."""

    def check_period(self, period: float) -> None:
        """Refuse a period from frame to frame, s, that cannot be kept as the camera is set now.

        :raises LimitError: naming the rate, the one that it reaches, and what sets that.
        :raises CameraError: it cannot pause between exposures.
        """
        ...


def refuse_faster(label: str, period: float, shortest: float, limit: str) -> None:
    """Refuse a period, s, below the shortest.

    :param limit: what sets the shortest.
    :raises LimitError: naming both as rates.
    """
    if period < shortest * (1 - _ROUNDING):
        raise LimitError(
            f"{label}: {1 / period:g} frames a second cannot be reached: at most {1 / shortest:g}, set by its {limit}",
            hint=f"ask for {1 / shortest:g} a second or less, or change its {limit}",
        )
