"""The backend of signals about a link."""

from __future__ import annotations

from bluesky.protocols import Reading
from event_model import DataKey
from ophyd_async.core import Callback, SignalBackend, SignalDatatypeT, SignalMetadata, make_datakey

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Lane

from ._annotations import Sample
from ._link_view import ConnectionState, LinkView, Statistic
from ._poller import Poller

PERIOD = 1.0
"""Seconds between two looks at the link while somebody is subscribed."""


class ConnectionBackend(SignalBackend[SignalDatatypeT]):
    """A signal about a link, not over it: it asks the instrument nothing."""

    def __init__(self, datatype: type[SignalDatatypeT] | None) -> None:
        super().__init__(datatype)
        self.statistic, self.view = Statistic(), LinkView("")
        self._poller: Poller | None = None

    def bind(self, statistic: Statistic, view: LinkView) -> None:
        """Say what to show, and of which link."""
        self.statistic, self.view = statistic, view

    @property
    def _type(self) -> type[SignalDatatypeT]:
        if self.datatype is None:
            raise TypeError(f"{self.view.url}: declare the signal with its type, such as SignalR[int]")
        return self.datatype

    def source(self, name: str, read: bool) -> str:  # noqa: ARG002 - the interface's
        """Where the value is, as recorded: ``link:/dev/ttyUSB0 timeouts``."""
        return f"link:{self.view.url} {self.statistic.field or 'state'}"

    async def connect(self, timeout: float) -> None:
        """Nothing to do."""

    async def put(self, value: SignalDatatypeT | None) -> None:
        """It can only be read.

        :raises LimitError: always.
        """
        raise LimitError(f"{self.source('', True)}: cannot be set to {value!r}", hint="it tells what happened")

    async def get_datakey(self, source: str) -> DataKey:
        """Type, units and precision."""
        metadata = SignalMetadata()
        if self.statistic.units is not None:
            metadata["units"] = self.statistic.units
        if self.statistic.precision is not None:
            metadata["precision"] = self.statistic.precision
        if not self.statistic.field:
            metadata["choices"] = [state.value for state in ConnectionState]
        return make_datakey(self._type, await self.get_value(), source, metadata)

    async def get_reading(self) -> Reading[SignalDatatypeT]:
        """What it is now."""
        return _reading(self._take())

    async def get_value(self) -> SignalDatatypeT:
        """What it is now."""
        value: SignalDatatypeT = self._take().value
        return value

    async def get_setpoint(self) -> SignalDatatypeT:
        """What it is now: nobody can set it."""
        return await self.get_value()

    def set_callback(self, callback: Callback[Reading[SignalDatatypeT]] | None) -> None:
        """Look every second for ``callback``, and at the state whenever it changes, until called with None."""
        if self._poller is not None:
            self._poller.end()
            self._poller = None
        if callback is not None:
            self._poller = Poller(
                name=lambda: self.source("", True),
                get=self._get,
                publish=lambda sample: callback(_reading(sample)),
                last=lambda: self._take().value,
                period=lambda: PERIOD,
            )
        if not self.statistic.field:
            self.view.tell(None if self._poller is None else self._poller.publish)

    def _take(self) -> Sample:
        return self.view.take(self.statistic, self._type)

    async def _get(self, lane: Lane) -> Sample:  # noqa: ARG002 - the interface's
        return self._take()


def _reading[T](sample: Sample) -> Reading[T]:
    return Reading(value=sample.value, timestamp=sample.timestamp, alarm_severity=sample.severity)
