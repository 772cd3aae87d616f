"""What an instrument can do: a vocabulary of runtime-checkable protocols on top of ``bluesky.protocols``.

``capabilities(device)`` answers for any device, ours or not, from what it has, not from what it inherits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bluesky.protocols import (
    Checkable,
    Collectable,
    Configurable,
    EventPageCollectable,
    Flyable,
    Locatable,
    Movable,
    Pausable,
    Preparable,
    Readable,
    Stageable,
    Stoppable,
    Subscribable,
    Triggerable,
    WritesStreamAssets,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BlockProducer",
    "Capability",
    "Checkable",
    "Collectable",
    "Configurable",
    "EmissionControl",
    "ExposureControl",
    "Flyable",
    "FrameProducer",
    "Haltable",
    "Homable",
    "Locatable",
    "Movable",
    "Pausable",
    "Preparable",
    "Readable",
    "ShutterControl",
    "Stageable",
    "StopCapability",
    "StopMeans",
    "Stoppable",
    "StopsHonestly",
    "Subscribable",
    "TimedDetector",
    "Track",
    "TrackedAxis",
    "Triggerable",
    "WavelengthTunable",
    "capabilities",
    "describe",
    "stop_capability",
]


class StopMeans(Enum):
    """How a stop reaches the instrument."""

    PREEMPTS = "preempts"
    """Written past everything that waits, also while a reply is pending."""
    URGENT_LANE = "urgent lane"
    """Sent after the exchange in flight, before everything that waits."""
    BETWEEN_MOVES = "between moves"
    """A move that began runs to its end; the stop prevents the next one."""
    SOFTWARE = "software"
    """The device's ``stop`` is called; how soon it acts is not declared."""
    NONE = "none"
    """It cannot be stopped."""


@dataclass(frozen=True)
class StopCapability:
    """How and how soon a device can be stopped. A software stop is no safety function.

    :param means: how the stop reaches the instrument.
    :param seconds: bound from the call to the bytes at the instrument; None where nothing is promised.
    :param note: what else its user must know.
    """

    means: StopMeans
    seconds: float | None = None
    note: str = ""

    def __str__(self) -> str:
        bound = "" if self.seconds is None else f" within {self.seconds * 1000:g} ms"
        return f"{self.means.value}{bound}" + (f" ({self.note})" if self.note else "")


@runtime_checkable
class StopsHonestly(Stoppable, Protocol):
    """Can be stopped, and says how."""

    @property
    def stop_capability(self) -> StopCapability:
        """How and how soon."""
        ...


@runtime_checkable
class Haltable(Protocol):
    """Takes a stop from any thread, without an event loop, at once."""

    def halt(self) -> None:
        """Put the stop on the wire; waits for nothing and confirms nothing."""
        ...


@runtime_checkable
class Homable(Protocol):
    """Finds its own zero."""

    @property
    def home(self) -> Triggerable:
        """Triggered, it searches the home position; its status is done when that is found."""
        ...


@runtime_checkable
class FrameProducer(Triggerable, WritesStreamAssets, Protocol):
    """Takes frames and says where it stored them (cameras, detectors)."""


@runtime_checkable
class BlockProducer(Triggerable, Preparable, WritesStreamAssets, Protocol):
    """Takes blocks of samples at a rate and says where it stored them (analog inputs, polled meters)."""

    @property
    def rate(self) -> Movable[float]:
        """Samples a second of each channel, Hz."""
        ...

    @property
    def samples(self) -> Movable[int]:
        """Samples of each channel in a block."""
        ...

    @property
    def samples_lost(self) -> Readable[int]:
        """Samples lost since the file was opened."""
        ...


@runtime_checkable
class ExposureControl(Protocol):
    """Has an exposure time."""

    @property
    def exposure(self) -> Movable[float]:
        """Exposure time in seconds."""
        ...


@runtime_checkable
class WavelengthTunable(Protocol):
    """Has a wavelength: that of its light, or that for which its reading is calibrated."""

    @property
    def wavelength(self) -> Movable[float]:
        """Wavelength in nanometres."""
        ...


@runtime_checkable
class ShutterControl(Protocol):
    """Has a shutter."""

    @property
    def shutter(self) -> Movable[Any]:
        """Open or closed."""
        ...


@runtime_checkable
class EmissionControl(Protocol):
    """Emits light that can be switched."""

    @property
    def emission(self) -> Movable[Any]:
        """On or off. It does not move a shutter."""
        ...


class Track(Protocol):
    """Where an axis was, and when."""

    def nearest(self, times: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Positions at times (seconds since 1970), and which of them lie within what was measured."""
        ...


@runtime_checkable
class TrackedAxis(Movable[float], Flyable, Preparable, Stageable, EventPageCollectable, Protocol):
    """An axis that flies, and knows where it was on the way."""

    @property
    def positions(self) -> Track:
        """Of the last fly move, or of the one under way."""
        ...


@runtime_checkable
class TimedDetector(Flyable, Preparable, Stageable, Protocol):
    """A detector that flies, and knows when it took each of its data."""

    def end_at_pause(self) -> None:
        """A pause will be the end of the flight that is prepared, and keep what it took."""
        ...

    @property
    def exposure_times(self) -> NDArray[np.float64]:
        """The middle of each exposure, seconds since 1970, shape (n,)."""
        ...


class Capability(StrEnum):
    """The names of the vocabulary, in the order in which they are told."""

    READABLE = "readable"
    MOVABLE = "movable"
    LOCATABLE = "locatable"
    CHECKABLE = "checkable"
    HOMABLE = "homable"
    TRIGGERABLE = "triggerable"
    FRAME_PRODUCER = "frame producer"
    BLOCK_PRODUCER = "block producer"
    EXPOSURE_CONTROL = "exposure control"
    WAVELENGTH_TUNABLE = "wavelength tunable"
    SHUTTER_CONTROL = "shutter control"
    EMISSION_CONTROL = "emission control"
    STOPPABLE = "stoppable"
    HALTABLE = "haltable"
    PAUSABLE = "pausable"
    CONFIGURABLE = "configurable"
    STAGEABLE = "stageable"
    SUBSCRIBABLE = "subscribable"
    PREPARABLE = "preparable"
    FLYABLE = "flyable"
    COLLECTABLE = "collectable"


PROTOCOLS: Mapping[Capability, type] = MappingProxyType(
    {
        Capability.READABLE: Readable,
        Capability.MOVABLE: Movable,
        Capability.LOCATABLE: Locatable,
        Capability.CHECKABLE: Checkable,
        Capability.HOMABLE: Homable,
        Capability.TRIGGERABLE: Triggerable,
        Capability.FRAME_PRODUCER: FrameProducer,
        Capability.BLOCK_PRODUCER: BlockProducer,
        Capability.EXPOSURE_CONTROL: ExposureControl,
        Capability.WAVELENGTH_TUNABLE: WavelengthTunable,
        Capability.SHUTTER_CONTROL: ShutterControl,
        Capability.EMISSION_CONTROL: EmissionControl,
        Capability.STOPPABLE: Stoppable,
        Capability.HALTABLE: Haltable,
        Capability.PAUSABLE: Pausable,
        Capability.CONFIGURABLE: Configurable,
        Capability.STAGEABLE: Stageable,
        Capability.SUBSCRIBABLE: Subscribable,
        Capability.PREPARABLE: Preparable,
        Capability.FLYABLE: Flyable,
        Capability.COLLECTABLE: Collectable,
    }
)
"""The protocol behind each name."""


def capabilities(device: object) -> frozenset[Capability]:
    """What ``device`` can do: a device of ours, of ophyd-async, of ophyd, or any object with Bluesky's methods."""
    if isinstance(device, type):
        return frozenset()  # a class has the methods, but is no device
    return frozenset(name for name, protocol in PROTOCOLS.items() if isinstance(device, protocol))


def stop_capability(device: object) -> StopCapability:
    """How ``device`` can be stopped: what it declares; else whether it has a ``stop`` at all."""
    declared = getattr(device, "stop_capability", None)
    if isinstance(declared, StopCapability):
        return declared
    if isinstance(device, Stoppable) and not isinstance(device, type):
        return StopCapability(StopMeans.SOFTWARE, None, "not declared by the device")
    return StopCapability(StopMeans.NONE)


def describe(device: object) -> str:
    """One line for people: capabilities in the order of the vocabulary, then how it stops."""
    found = capabilities(device)
    names = ", ".join(name.value for name in Capability if name in found) or "nothing known"
    return f"{names}; stop: {stop_capability(device)}" if Capability.STOPPABLE in found else names
