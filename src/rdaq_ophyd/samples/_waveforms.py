"""What a simulated card measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]


class Waveform(Protocol):
    """A voltage over time."""

    @property
    def level(self) -> float:
        """Its mean, V: what AC coupling takes away."""
        ...

    def __call__(self, time: Floats, index: NDArray[np.int64]) -> Floats:
        """Volts at ``time`` (s since the card was made), where sample ``index`` of an arming is taken."""
        ...


@dataclass(frozen=True)
class Sine:
    """A sine of ``frequency`` (Hz) and ``amplitude`` (V, half of peak to peak) about ``level`` (V)."""

    frequency: float = 50.0
    amplitude: float = 1.0
    level: float = 0.0
    phase: float = 0.0

    def __call__(self, time: Floats, index: NDArray[np.int64]) -> Floats:  # noqa: ARG002  the interface's
        """Volts."""
        return self.level + self.amplitude * np.sin(2 * np.pi * self.frequency * time + self.phase)


@dataclass(frozen=True)
class Square:
    """A square wave of ``frequency`` (Hz), ``amplitude`` (V, half of peak to peak) about ``level`` (V): a chopper."""

    frequency: float = 10.0
    amplitude: float = 1.0
    level: float = 0.0

    def __call__(self, time: Floats, index: NDArray[np.int64]) -> Floats:  # noqa: ARG002  the interface's
        """Volts."""
        high = np.floor(2 * self.frequency * time) % 2 == 0
        return self.level + np.where(high, self.amplitude, -self.amplitude)


@dataclass(frozen=True)
class Counter:
    """The number of the sample: ``index`` modulo ``modulo``, times ``step`` (V). Tells a test which samples it got."""

    modulo: int = 8192
    step: float = 1e-3
    level: float = 0.0

    def __call__(self, time: Floats, index: NDArray[np.int64]) -> Floats:  # noqa: ARG002  the interface's
        """Volts."""
        return np.asarray(index % self.modulo * self.step, dtype=np.float64)
