"""The built-in synthetic camera: a laser spot with shot noise, for rehearsals, demonstrations, tests and load."""

from __future__ import annotations

from ophyd_async.core import PathProvider, SignalRW, soft_signal_rw

from rdaq_ophyd.frames import Camera, SyntheticDriver, SyntheticLoad

__all__ = ["SyntheticCamera", "SyntheticDriver", "SyntheticLoad"]


class SyntheticCamera(Camera):
    """A camera in software, with buffers, timing and losses like a real one, as even or uneven as asked.

    :param path_provider: where the frame files go.
    :param name: of the device.
    :param width: of the sensor, pixels.
    :param height: of the sensor, pixels.
    :param buffers: frames the camera can hold; with all of them in use it loses frames.
    :param frame_rate: frames a second at most, up to 1000; 0 for as fast as the exposure allows.
    :param jitter: each frame comes late by 0 to ``jitter`` seconds.
    :param loss: share of the frames lost on the way to the host, 0 to 0.99.
    :param seed: of the random numbers for noise in time and losses.
    """

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
    ) -> None:
        load = SyntheticLoad(frame_rate, jitter, loss, seed)
        self.driver = SyntheticDriver(width, height, buffers=buffers, load=load)
        self.frame_rate = _setting(load, "rate", "Hz")
        self.jitter = _setting(load, "jitter", "s")
        self.loss = _setting(load, "loss", "")
        super().__init__(self.driver, path_provider, name=name)
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
