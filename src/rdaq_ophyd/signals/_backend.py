"""The signal backend over a link: every fresh read reaches the subscribers, no value is served from an old one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bluesky.protocols import Reading
from event_model import DataKey, Limits, LimitsRange
from ophyd_async.core import Callback, SignalBackend, SignalDatatypeT, SignalMetadata, make_datakey

from rdaq_ophyd.link import Lane

from ._annotations import Sample
from ._check import check_value
from ._poller import Poller
from ._sources import ValueSource
from ._typed import typed


class LinkSignalBackend(SignalBackend[SignalDatatypeT]):
    """A signal whose value is on the other side of a link. The connector binds it to its source."""

    def __init__(self, datatype: type[SignalDatatypeT] | None) -> None:
        super().__init__(datatype)
        self.name = ""
        self.units: str | None = None
        self.limits: tuple[float, float] | None = None
        self.precision: int | None = None
        self._source: ValueSource | None = None
        self._url = ""
        self._poller: Poller | None = None
        self._followers: list[Callable[[SignalDatatypeT], None]] = []
        self._seen: Sample | None = None
        self._setpoint: Any = None
        self._kept: Sample | None = None

    def bind(self, source: ValueSource, url: str) -> None:
        """Say where the value comes from."""
        self._source, self._url = source, url
        quantity = source.quantity
        self.units, self.limits, self.precision = quantity.units, quantity.limits, quantity.precision

    @property
    def seen(self) -> Sample | None:
        """The value seen last, without asking; None before there is one."""
        return self._seen

    @property
    def written(self) -> SignalDatatypeT | None:
        """The value written last by this process; None where there is none."""
        setpoint: SignalDatatypeT | None = self._setpoint
        return setpoint

    def forget_written(self) -> None:
        """What this process wrote means nothing any more."""
        self._setpoint = self._kept = None

    @property
    def kept(self) -> Sample | None:
        """The value seen last since this process wrote one: what the instrument made of it; None before it was read."""
        return self._kept

    @property
    def value_source(self) -> ValueSource:
        """Where the value comes from.

        :raises RuntimeError: the signal was declared without ``Ask`` or ``Measure``.
        """
        if self._source is None:
            raise RuntimeError("a signal over a link needs an Ask or a Measure in its annotation")
        return self._source

    def source(self, name: str, read: bool) -> str:  # noqa: ARG002 - the interface's
        """Where the value is, as recorded: ``link:/dev/ttyUSB0#1TP?``."""
        return f"link:{self._url}#{self.value_source.address(read=read)}"

    async def connect(self, timeout: float) -> None:
        """Read the value once, which proves that the instrument understands the question.

        :raises ReplyTimeout: it does not answer.
        :raises BadReply: it answers something else.
        """
        await asyncio.wait_for(self.get_reading(), timeout)

    async def get_reading(self) -> Reading[SignalDatatypeT]:
        """Read the value from the instrument, now."""
        return await self.fresh()

    async def get_value(self) -> SignalDatatypeT:
        """Read the value from the instrument, now."""
        value: SignalDatatypeT = (await self.fresh())["value"]
        return value

    async def get_setpoint(self) -> SignalDatatypeT:
        """The value written last by this process; where there is none, the instrument's."""
        setpoint: SignalDatatypeT = self._setpoint
        return await self.get_value() if setpoint is None else setpoint

    async def put(self, value: SignalDatatypeT | None) -> None:
        """Write the value.

        :raises LimitError: it is of another type, not finite, or outside its limits; nothing was sent.
        """
        value = typed(self.name, value, self.datatype)
        check_value(self.name, value, self.limits, self.units)
        sent: Any = self.value_source.as_sent(value)
        if sent != value:
            check_value(f"{self.name}: {value} is sent as {sent:g}", sent, self.limits, self.units)
        await self.value_source.put(self.name, value)
        self._setpoint, self._kept = sent, None
        if self._poller is not None or self._followers:
            await self.fresh()

    async def get_datakey(self, source: str) -> DataKey:
        """Type, shape, units, precision and limits. Needs no answer from the instrument."""
        metadata = SignalMetadata()
        if self.units is not None:
            metadata["units"] = self.units
        if self.precision is not None:
            metadata["precision"] = self.precision
        if self.limits is not None:
            metadata["limits"] = Limits(control=LimitsRange(low=self.limits[0], high=self.limits[1]))
        if (members := getattr(self.datatype, "__members__", None)) is not None:
            metadata["choices"] = [str(member.value) for member in members.values()]
        return make_datakey(self._type, self._last_or_nothing(), source, metadata)

    def set_callback(self, callback: Callback[Reading[SignalDatatypeT]] | None) -> None:
        """Poll in the background for ``callback``, until called with None."""
        if callback is not None and self._poller is not None:
            raise RuntimeError("Cannot set a callback when one is already set")
        if self._poller is not None:
            self._poller.end()
            self._poller = None
        if callback is not None:
            self._poller = Poller(
                name=lambda: self.name,
                get=self._take,
                publish=lambda sample: callback(_reading(sample)),
                last=self._last_or_nothing,
                period=lambda: self.value_source.quantity.poll,
            )

    def follow(self, follower: Callable[[SignalDatatypeT], None]) -> None:
        """Call ``follower`` with each value that is read from now on; one that was written is read back for it."""
        self._followers.append(follower)

    async def fresh(self, lane: Lane | None = None) -> Reading[SignalDatatypeT]:
        """Read the value now, and let the subscribers know; ``lane`` None: the declared one."""
        sample = await self._take(lane)
        if self._poller is not None:
            self._poller.publish(sample)
        return _reading(sample)

    async def _take(self, lane: Lane | None) -> Sample:
        sample = await self.value_source.get(self.name, lane)
        self._seen = self._kept = sample
        for follower in self._followers:
            follower(sample.value)
        return sample

    @property
    def _type(self) -> type[SignalDatatypeT]:
        if self.datatype is None:
            raise TypeError(f"{self.name}: declare the signal with its type, such as SignalR[float]")
        return self.datatype

    def _last_or_nothing(self) -> Any:
        """The last value seen; before there is one, NaN, or the empty value of the type."""
        if self._seen is not None:
            return self._seen.value
        if self.datatype is float:
            return float("nan")
        if (members := getattr(self.datatype, "__members__", None)) is not None:
            return next(iter(members.values()))
        empty: Callable[[], Any] = self._type
        return empty()


def _reading[T](sample: Sample) -> Reading[T]:
    return Reading(value=sample.value, timestamp=sample.timestamp, alarm_severity=sample.severity)
