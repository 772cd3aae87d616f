"""Flying slow instruments: their readings become the same kind of stream as a card's samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ophyd_async.core import PathProvider, SignalR

from ._analog import AnalogInput
from ._driver import AnalogDriver
from ._format import Calibration
from ._polled import PolledDriver
from ._settings import FEWEST

# A block is so long unless it is said otherwise, s.
_BLOCK = 1.0


class PolledSamples(AnalogInput):
    """Any readable signals, read ``rate`` times a second with the host's time, recorded like the channels of a card.

    ``PolledSamples({"power": meter.power}, paths, rate=5)``: blocks of the meter's power, ``NAME-power``, with
    ``NAME-host_time`` (s since 1970, the middle between question and answer) and ``NAME-uncertainty`` (s, half of the
    time between them) of each reading. Questions go in the background lane of the instrument's link, so that moves,
    settings and stops of devices on the same port come first. Connect the instrument before this.

    :param signals: by the names that they have here.
    :param path_provider: where the files go.
    :param name: of the device.
    :param rate: readings a second. What an instrument does not manage is lost, NaN, and counted.
    :param samples: in a block; None for those of 1 s.
    :param calibrations: of channels by name.
    :param config: further signals for the configuration, such as the meter's wavelength.
    """

    def __init__(
        self,
        signals: Mapping[str, SignalR[float]],
        path_provider: PathProvider,
        name: str = "",
        *,
        rate: float = 5.0,
        samples: int | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
        config: tuple[SignalR[Any], ...] = (),
    ) -> None:
        self.driver = PolledDriver(signals, rate)
        samples = max(FEWEST, round(_BLOCK * rate)) if samples is None else samples
        super().__init__(self.driver, path_provider, name, samples=samples, calibrations=calibrations)
        self.add_config_signals(*config)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages use the name too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = name or "polled signals"

    def _stand_in(self) -> AnalogDriver:
        return self.driver  # the signals are simulated where their own device is

    async def _use(self, driver: AnalogDriver) -> None:
        await self.driver.use_loop()
        await super()._use(driver)
