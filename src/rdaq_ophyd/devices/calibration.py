"""Calibrations of a rig: numbers that turn what an instrument says into what it means."""

from __future__ import annotations

import math

from ophyd_async.core import SignalRW, StandardReadable, soft_signal_rw

from rdaq_ophyd.errors import LimitError

__all__ = ["Calibration"]


class Calibration(StandardReadable):
    """Named numbers with units, recorded in the baseline of every run.

    ``rig.calibration.add("pixel_size", 3.45, units="um")`` makes the signal ``rig.calibration.pixel_size``.
    """

    def add(self, name: str, value: float, *, units: str, precision: int = 6) -> SignalRW[float]:
        """Add a calibration.

        :param name: an identifier; the data key is ``calibration-<name>``.
        :param value: its value now, finite.
        :param units: of the value, e.g. ``"um"``; ``""`` for a pure number.
        :param precision: digits after the decimal point to show.
        :raises LimitError: when the value is not a finite number.
        """
        if not math.isfinite(value):
            raise LimitError(f"calibration {name} = {value} is not a finite number", hint="give its measured value")
        signal = soft_signal_rw(float, value, units=units, precision=precision)
        setattr(self, name, signal)
        self.add_readables([signal])
        return signal
