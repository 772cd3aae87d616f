"""What a frame looks like: pixel format, region of interest, shape and dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from ophyd_async.core import StrictEnum

from rdaq_ophyd.errors import CameraError


class PixelFormat(StrictEnum):
    """Pixel formats by their GenICam names (Pixel Format Naming Convention); Mono10 and Mono12 take 16 bits each."""

    MONO8 = "Mono8"
    MONO10 = "Mono10"
    MONO12 = "Mono12"
    MONO16 = "Mono16"

    @property
    def bits(self) -> int:
        """Significant bits of a pixel."""
        return int(self.value.removeprefix("Mono"))

    @property
    def dtype_numpy(self) -> str:
        """NumPy's name of the dtype of a pixel in memory and on disk."""
        return "|u1" if self.bits == 8 else "<u2"


@dataclass(frozen=True, slots=True)
class Roi:
    """The part of the sensor that is read out, in pixels of the sensor."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """Shape and dtype of the frames a camera delivers now."""

    height: int
    width: int
    dtype_numpy: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return (self.height, self.width)

    @property
    def nbytes(self) -> int:
        """Bytes of one frame."""
        return self.height * self.width * int(self.dtype_numpy[-1])

    def check(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """A frame of this format, as it is: what HDF5 is given directly, it takes unseen.

        :raises CameraError: it has another shape or dtype.
        """
        if pixels.shape != self.shape or pixels.dtype.str != self.dtype_numpy:
            raise CameraError(
                f"a frame of {pixels.shape} {pixels.dtype.str} came, its file is for {self.shape} {self.dtype_numpy}",
                hint="unstage the camera before changing what its frames are like",
            )
        return pixels


@dataclass(frozen=True, slots=True)
class Range:
    """An allowed range, both ends included."""

    low: float
    high: float
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class CameraIdentity:
    """Who a camera is."""

    vendor: str
    model: str
    serial: str
