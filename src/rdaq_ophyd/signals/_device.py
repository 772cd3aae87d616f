"""The base of every device on a link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ophyd_async.core import Device, Signal, SignalDatatype

from rdaq_ophyd.link import Link, SerialSettings
from rdaq_ophyd.stop import SafeState

from ._channel import Channel
from ._connector import LinkConnector
from ._protocol import LineProtocol
from ._sources import WriteCheck


class LinkDevice(Device):
    """A device whose signals are declared with ``Ask`` and ``Tell`` and live on a link.

    A subclass states its protocol as class attributes, declares its signals, and overrides the hooks it needs.

    :param link: URL of the port (shared with other devices on it), or a link of the caller's own.
    :param address: of the device on the link; fills ``{address}`` (or the name in ``address_field``) in its commands.
    :param name: of the device.
    :param serial: line settings that differ from the manual's.
    """

    protocol: ClassVar[LineProtocol] = LineProtocol()
    address_field: ClassVar[str] = "address"
    write_check: ClassVar[str] = ""
    """A question asked right after each checked write, in one piece with it, such as ``TB?``."""

    def __init__(
        self,
        link: Link | str,
        address: str | int | None = None,
        name: str = "",
        *,
        serial: SerialSettings | None = None,
    ) -> None:
        url = link if isinstance(link, str) else link.url
        fields = {} if address is None else {self.address_field: address}
        self.channel = Channel(url, self.protocol, fields)
        self._link_connector = LinkConnector(link, self.channel, serial or self.protocol.serial)
        super().__init__(name=name, connector=self._link_connector)

    @property
    def write_checker(self) -> tuple[str, WriteCheck] | None:
        """The question after a write and what judges its answer; None where the instrument has no such thing."""
        return (self.write_check, self.check_write) if self.write_check else None

    # Hooks.

    async def handshake(self) -> None:
        """First exchange after the link opened: put the instrument into a known state and make sure that it is the one.

        :raises WrongInstrument: it is another.
        """

    async def after_connect(self) -> None:
        """After all signals answered: read units and limits that depend on the instrument's configuration."""

    async def check_write(self, reply: str, command: str) -> None:
        """Judge the reply to ``write_check`` that followed ``command``.

        :raises InstrumentError: the instrument did not accept the command.
        """

    def note_stop(self) -> None:
        """A stop is about to be written: what is under way must not count as done. Any thread; waits for nothing."""

    def safe_states(self) -> Sequence[SafeState]:
        """How stop-all and the watchdog make this device safe; empty for one that can do no harm. Any thread."""
        return ()

    # Services for subclasses and for people.

    def set_metadata(
        self,
        *signals: Signal[Any],
        units: str | None = None,
        precision: int | None = None,
        limits: tuple[float, float] | None = None,
    ) -> None:
        """Set what the instrument's configuration decides about signals; None leaves a declared value as it is."""
        for signal in signals:
            backend = self._link_connector.backend_of(signal)
            backend.units = backend.units if units is None else units
            backend.precision = backend.precision if precision is None else precision
            backend.limits = backend.limits if limits is None else limits
            self._link_connector.seed_mock(signal)

    def last[T: SignalDatatype](self, signal: Signal[T], otherwise: T) -> T:
        """The value of ``signal`` seen last, without asking; ``otherwise`` when there is none. Any thread."""
        seen: T | None = self._link_connector.backend_of(signal).last
        return otherwise if seen is None else seen

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device and its children."""
        super().set_name(name, child_name_separator=child_name_separator)
        self._link_connector.name_children(self)

    def close(self) -> None:
        """Give the link back; the last device on a port closes it. Blocks until the exchange in flight ended."""
        for _, child in self.children():
            if isinstance(child, LinkDevice):
                child.close()
        self._link_connector.close()
