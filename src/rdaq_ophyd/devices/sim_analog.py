"""Analog input cards: a simulated one, with a clock, memory, losses and a trigger input like those of a real one.

For rehearsals, and the stand-in for any card in mock mode.

Manual: none.

Run against: itself; no physical card has a driver here yet.
"""

from __future__ import annotations

from collections.abc import Mapping

from ophyd_async.core import PathProvider

from rdaq_ophyd.samples import AnalogInput, Calibration, Counter, SimAnalogCard, SimInput, Sine, Square

__all__ = ["Counter", "SimAnalogCard", "SimAnalogInput", "SimInput", "Sine", "Square"]


class SimAnalogInput(AnalogInput):
    """A card in software, with a clock, memory and losses like a real one; its trigger input is ``driver.edge()``.

    :param path_provider: where the files go.
    :param name: of the device.
    :param inputs: what is connected, by the channels' names; None for two sines.
    :param rate: samples a second of each channel.
    :param samples: in a block; None for those of 0.1 s.
    :param calibrations: of channels by name.
    """

    def __init__(
        self,
        path_provider: PathProvider,
        name: str = "",
        *,
        inputs: Mapping[str, SimInput] | None = None,
        rate: float = 10_000.0,
        samples: int | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self.driver = SimAnalogCard(inputs, rate=rate)
        super().__init__(self.driver, path_provider, name, samples=samples, calibrations=calibrations)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages use the name too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = name or "simulated card"
