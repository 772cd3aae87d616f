"""What a card's SDK must do for us: the one protocol between analog inputs and the sample pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from rdaq_ophyd.frames import Range

from ._format import CardIdentity, Channel, Coupling, InputRange, StartTrigger


@dataclass(frozen=True, slots=True)
class Transfer:
    """Samples as they come from the card, in its own memory, valid until the next transfer is asked for.

    :param index: number of the first of them since :meth:`AnalogDriver.arm`, counted by the card. One that is higher
        than the end of the transfer before tells of samples that were lost.
    :param data: shape (samples, channels), any real dtype: counts, or values if scale is 1 and offset 0. One without
        samples tells by its index that the last ones of a shot were lost.
    :param host_time: seconds since the epoch when the last of them had arrived.
    """

    index: int
    data: NDArray[Any]
    host_time: float


@runtime_checkable
class AnalogDriver(Protocol):
    """An analog input card, opened through its SDK.

    Between ``arm`` and ``stop`` one acquisition thread calls ``fire`` and ``next_transfer``. Nothing here runs on the
    event loop. Every failure is a :class:`~rdaq_ophyd.errors.CardError` or a :class:`~rdaq_ophyd.errors.LimitError`.
    """

    label: str

    def open(self) -> CardIdentity:
        """Open the card; a second call does nothing but answer who it is."""
        ...

    def close(self) -> None:
        """Close it. Idempotent."""
        ...

    def channels(self) -> tuple[Channel, ...]:
        """The inputs in use. Known before ``open``; names and order never change."""
        ...

    def set_range(self, channel: str, input_range: InputRange) -> None:
        """Use another range, one of the channel's; its scale and offset change with it."""
        ...

    def set_coupling(self, channel: str, coupling: Coupling) -> None:
        """Use another coupling, one of the channel's."""
        ...

    def rate(self) -> float:
        """Samples a second of each channel, as the card's clock makes them."""
        ...

    def set_rate(self, hertz: float) -> None:
        """Choose the nearest rate the card has; it is in :meth:`rate_range`."""
        ...

    def rate_range(self) -> Range:
        """Allowed rates, Hz, with the channels in use."""
        ...

    def dtype_numpy(self) -> str:
        """What keeps the card's resolution: ``<f4`` up to 24 bits, else ``<f8``."""
        ...

    def triggers(self) -> frozenset[StartTrigger]:
        """What can make it sample: INTERNAL or SOFTWARE at least."""
        ...

    def arm(self, samples: int, shots: int, trigger: StartTrigger) -> None:
        """Get ready; on return the card samples, or waits for its trigger. Sample numbers begin with 0 again.

        :param samples: of each channel in a shot; 0: until stopped.
        :param shots: how many triggers are answered; 0: until stopped. 1 unless the trigger is external.
        """
        ...

    def fire(self) -> None:
        """Begin to sample: the software trigger."""
        ...

    def next_transfer(self, timeout: float) -> Transfer | None:
        """The next samples in order, or None when none came within ``timeout`` seconds."""
        ...

    def stop(self) -> None:
        """Stop sampling, also while waiting for a trigger; returns within a second. Idempotent."""
        ...
