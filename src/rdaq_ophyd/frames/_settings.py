"""A camera's settings as configuration signals, each checked before it reaches the camera."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

from ophyd_async.core import Device, SignalR, SignalRW, soft_signal_rw

from rdaq_ophyd.errors import CameraError, LimitError

from ._compression import Compression, encoder
from ._format import PixelFormat, Roi
from ._pipeline import FramePipeline


class CameraSettings:
    """Makes the signals ``exposure`` (s), ``pixel_format`` and ``compression``."""

    def __init__(self, pipeline: FramePipeline) -> None:
        self._pipeline = pipeline
        self.exposure: SignalRW[float] = soft_signal_rw(
            float, 0.01, units="s", precision=6, getter=self._exposure, setter=self._set_exposure
        )
        self.pixel_format: SignalRW[PixelFormat] = soft_signal_rw(
            PixelFormat, PixelFormat.MONO16, getter=self._pixel_format, setter=self._set_pixel_format
        )
        self.compression: SignalRW[Compression] = soft_signal_rw(
            Compression, Compression.NONE, getter=self._compression, setter=self._set_compression
        )

    async def _exposure(self) -> float:
        return await asyncio.to_thread(self._pipeline.driver.exposure)

    async def _set_exposure(self, value: float | None) -> float:
        driver = self._pipeline.driver
        seconds = _number(value)
        allowed = await asyncio.to_thread(driver.exposure_range)
        if not allowed.low <= seconds <= allowed.high:
            raise LimitError(
                f"{driver.label}: exposure {value} s is not possible",
                hint=f"choose from {allowed.low:g} to {allowed.high:g} s",
            )
        if self._pipeline.acquiring and seconds != await self._exposure():
            raise CameraError(
                f"{driver.label}: the exposure cannot change while it takes frames: they would be told with another",
                hint="wait until it is done, or stop it first",
            )
        await asyncio.to_thread(driver.set_exposure, seconds)
        return await self._exposure()

    async def _pixel_format(self) -> PixelFormat:
        return await asyncio.to_thread(self._pipeline.driver.pixel_format)

    async def _set_pixel_format(self, value: Any) -> PixelFormat:
        driver = self._pipeline.driver
        known = await asyncio.to_thread(driver.pixel_formats)
        wanted = PixelFormat(value)
        if wanted not in known:
            raise LimitError(
                f"{driver.label}: no pixel format {wanted.value}", hint="it has " + ", ".join(f.value for f in known)
            )
        _refuse_while_open(self._pipeline)
        await asyncio.to_thread(driver.set_pixel_format, wanted)
        return await self._pixel_format()

    async def _compression(self) -> Compression:
        return self._pipeline.compression

    async def _set_compression(self, value: Any) -> Compression:
        wanted = Compression(value)
        await asyncio.to_thread(encoder, wanted)  # says here, and not at the first frame, what is missing
        _refuse_while_open(self._pipeline)
        self._pipeline.compression = wanted
        return wanted


class RoiSettings(Device):
    """The region of the sensor that is read out: ``x``, ``y``, ``width``, ``height``, in pixels of the sensor."""

    x: SignalRW[int]
    """First column, pixels, in the camera's steps.

    :raises CameraError: a file is open, and its frames have one shape. So with the other three.
    :raises LimitError: the region would not lie on the sensor, or off the camera's steps. So with the other three.
    """
    y: SignalRW[int]
    """First row, pixels."""
    width: SignalRW[int]
    """Columns, pixels."""
    height: SignalRW[int]
    """Rows, pixels."""

    def __init__(self, pipeline: FramePipeline, name: str = "") -> None:
        self._pipeline = pipeline
        self._one_at_a_time = asyncio.Lock()
        self.x = self._signal("x")
        self.y = self._signal("y")
        self.width = self._signal("width")
        self.height = self._signal("height")
        super().__init__(name=name)

    def signals(self) -> tuple[SignalR[Any], ...]:
        """The four, for the configuration."""
        return (self.x, self.y, self.width, self.height)

    def _signal(self, field: str) -> SignalRW[int]:
        async def get() -> int:
            return int(getattr(await asyncio.to_thread(self._pipeline.driver.roi), field))

        async def put(value: int | None) -> int:
            await self._set_one(field, value)
            return await get()

        return soft_signal_rw(int, 0, units="pixels", getter=get, setter=put)

    async def _set_one(self, field: str, value: int | None) -> None:
        async with self._one_at_a_time:
            roi = await asyncio.to_thread(self._pipeline.driver.roi)
            await self._put(replace(roi, **{field: _whole(value)}))

    async def put_all(self, roi: Roi) -> None:
        """Set all four at once.

        :raises LimitError: the region does not lie on the sensor, or off the camera's steps.
        :raises CameraError: a file is open, whose frames have another shape.
        """
        async with self._one_at_a_time:
            await self._put(roi)

    async def _put(self, roi: Roi) -> None:
        driver = self._pipeline.driver
        size, step = await asyncio.to_thread(lambda: (driver.sensor_size(), driver.roi_step()))
        for start, length, sensor, steps in (
            ("x", "width", size[0], (step.x, step.width)),
            ("y", "height", size[1], (step.y, step.height)),
        ):
            _check_axis(driver.label, roi, (start, length), sensor, steps)
        _refuse_while_open(self._pipeline)
        await asyncio.to_thread(driver.set_roi, roi)


def _check_axis(label: str, roi: Roi, names: tuple[str, str], sensor: int, steps: tuple[int, int]) -> None:
    first, count = getattr(roi, names[0]), getattr(roi, names[1])
    for name, value, low, high, step in (
        (names[1], count, steps[1], sensor, steps[1]),
        (names[0], first, 0, sensor - count, steps[0]),
    ):
        if not low <= value <= max(low, high) or value % step:
            in_steps = f" in steps of {step}" if step > 1 else ""
            raise LimitError(
                f"{label}: region {names[0]}={first}, {names[1]}={count} is not on the sensor of {sensor} pixels",
                hint=f"{name} may be {low} to {max(low, high)}{in_steps}",
            )


def _refuse_while_open(pipeline: FramePipeline) -> None:
    sink = pipeline.sink
    if sink is not None:
        raise CameraError(
            f"{pipeline.driver.label}: {sink.path.name} is open with frames of another kind",
            hint="unstage the camera before changing region, pixel format or compression",
        )


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise LimitError(f"{value!r} is not a finite number", hint="give a number of seconds")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (not isinstance(value, int) and not float(value).is_integer()):
        raise LimitError(f"{value!r} is not a whole number of pixels", hint="give a whole number")
    return int(value)
