"""Synthetic camera: a camera in software, a laser spot with shot noise, and buffers, timing and losses like a real one.

For rehearsals, as a load of known size, and the stand-in for any camera in mock mode.

Manual: none.

Run against: itself; it serves as the camera of many tests.
"""

from __future__ import annotations

from collections.abc import Callable

from ophyd_async.core import PathProvider, SignalRW, soft_signal_rw

from rdaq_ophyd.frames import Camera, Spot, SyntheticDriver, SyntheticLoad

__all__ = ["SyntheticCamera", "SyntheticDriver", "SyntheticLoad"]


class SyntheticCamera(Camera):
    """A camera in software, with buffers, timing and losses like a real one, as even or uneven as asked.

    :param path_provider: where the frame files go.
    :param name: of the device.
    :param width: of the sensor, pixels.
    :param height: of the sensor, pixels.
    :param buffers: frames the camera can hold; with all of them in use it loses frames.
    :param scene: tells how the spot is now (see ``Spot``), for a camera on a simulated bench.
    :param frame_rate: frames a second at most, up to 1000; 0 for as fast as the exposure allows.
    :param jitter: each frame comes late by 0 to ``jitter`` seconds.
    :param loss: share of the frames lost on the way to the host, 0 to 0.99.
    :param seed: of the random numbers for noise in time and losses.
    :param compression: of its files to begin with.
    """

    frame_rate: SignalRW[float]
    """Frames a second at most, 0 to 1000; 0 for as fast as the exposure allows.

    :raises LimitError: outside of that range.
    """
    jitter: SignalRW[float]
    """Each frame comes late by 0 to this, evenly spread, s; 0 to 10.

    :raises LimitError: outside of that range.
    """
    loss: SignalRW[float]
    """Share of the frames lost on the way to the host, 0 to 0.99.

    :raises LimitError: outside of that range.
    """
    trigger_line: SignalRW[str]
    """Input whose edges start exposures where external triggers are asked for (``DetectorTrigger.EXTERNAL_EDGE``)."""

    def __init__(
        self,
        path_provider: PathProvider,
        name: str = "",
        *,
        width: int = 640,
        height: int = 480,
        buffers: int = 16,
        frame_rate: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        seed: int = 1,
        scene: Callable[[], Spot] | None = None,
        compression: str = "none",
    ) -> None:
        load = SyntheticLoad(frame_rate, jitter, loss, seed)
        self.driver = SyntheticDriver(width, height, buffers=buffers, load=load, scene=scene)
        self.frame_rate = _setting(load, "rate", "Hz")
        self.jitter = _setting(load, "jitter", "s")
        self.loss = _setting(load, "loss", "")
        super().__init__(self.driver, path_provider, name=name, compression=compression)
        self.add_config_signals(self.frame_rate, self.jitter, self.loss)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; messages and warnings of the camera use it too."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.driver.label = self.driver.book.camera = name or "synthetic"


def _setting(load: SyntheticLoad, name: str, units: str) -> SignalRW[float]:
    async def put(value: float | None) -> float:
        setattr(load, name, load.check(name, float("nan") if value is None else value))
        return await get()

    async def get() -> float:
        return float(getattr(load, name))

    return soft_signal_rw(float, getattr(load, name), units=units, precision=6, getter=get, setter=put)
