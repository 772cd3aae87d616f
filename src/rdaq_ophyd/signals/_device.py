"""The base of every device on a link."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from bluesky.protocols import Reading
from bluesky.utils import maybe_await
from ophyd_async.core import Device, Signal, SignalDatatype, SignalR

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.stop import SafeState

from ._annotations import Sample
from ._channel import Channel, WriteChecker
from ._connection import Connection
from ._connector import LinkConnector
from ._protocol import LineProtocol


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
    heartbeat: ClassVar[str] = ""
    """A question that changes nothing, asked when the link was idle for ``heartbeat_period``; empty for none."""
    heartbeat_period: ClassVar[float] = 2.0
    """In seconds."""
    feed: ClassVar[str] = ""
    """A question for the instrument's own watchdog, asked by the event loop alone: one that hangs starves it.
    Such a device has no ``heartbeat``: that comes from a thread which would feed the watchdog on."""
    feed_period: ClassVar[float] = 1.0
    is_stop_target: ClassVar[bool] = True
    """A stop-all knows it by itself: its link is a target."""
    """In seconds; a third of the watchdog's bound or less."""
    starts_watchdog: bool = True
    """False: connect without starting the instrument's own watchdog; for a look that feeds it for a moment only."""
    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.SOFTWARE, None, "nothing is sent; what waits for the instrument here is given up"
    )

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
    def whole(self) -> LinkDevice:
        """The outermost device that this one is a part of and that is on the same link; often itself."""
        found, device = self, self.parent
        while device is not None:
            if isinstance(device, LinkDevice) and device.channel.url == self.channel.url:
                found = device
            device = device.parent
        return found

    @property
    def connection(self) -> Connection:
        """State and statistics of the link. It belongs to the whole; its parts are on the same link."""
        return self.whole._own_connection

    @cached_property
    def _own_connection(self) -> Connection:
        # Made when it is asked for: that of a part never is.
        made = Connection(self._link_connector.view)
        made.parent = self
        return made

    def children(self) -> Iterator[tuple[str, Device]]:
        """Signals, commands and parts; of the whole, the connection too."""
        yield from super().children()
        if (
            "_link_connector" in self.__dict__ and self.whole is self
        ):  # ophyd-async asks while a device is being made too
            yield "connection", self.connection

    @property
    def write_checker(self) -> WriteChecker | None:
        """The question after a write and what judges its answer; None where the instrument has no such thing."""
        return WriteChecker(self.write_check, self.check_write, self.unheard) if self.write_check else None

    # Hooks.

    async def handshake(self) -> None:
        """First exchange after the link opened: put the instrument into a known state and make sure that it is the one.

        :raises WrongInstrument: it is another.
        """

    async def identity(self) -> Mapping[str, str]:
        """What the instrument says of itself that never changes (model, serial number …), by what it is.

        Asked after the first handshake and again when the link was lost and came back: it must be the same.
        """
        return {}

    async def after_connect(self) -> None:
        """After all signals answered: read units and limits that depend on the instrument's configuration.

        Again after the link was lost and came back.
        """

    async def after_reconnect(self) -> None:
        """The link was lost and came back, with the same instrument: stop what may still move, and nothing else."""

    async def check_write(self, reply: str, command: str) -> None:
        """Judge the reply to ``write_check`` that followed ``command``.

        :raises InstrumentError: the instrument did not accept the command.
        """

    def unheard(self, reply: str, command: str) -> None:
        """The reply to ``write_check`` after ``command``, whose sender was cancelled meanwhile. Any thread.

        To be kept where the instrument tells each of its errors once only.
        """

    def note_stop(self) -> None:
        """A stop is about to be written: what is under way must not count as done. Any thread; waits for nothing."""

    def safe_states(self) -> Sequence[SafeState]:
        """How stop-all and the watchdog make this device safe; empty for one that can do no harm. Any thread."""
        return ()

    async def stop(self, success: bool = False) -> None:
        """Give up what is in progress on this device. May be repeated; at once where nothing is.

        A driver of something that moves sends its stop here, and waits, bounded, until it stands still.

        :param success: whether what was in progress then counts as succeeded.
        """
        self.note_stop()
        # A driver whose other base class knows how to stop (StandardMovable) must not lose that by the order of bases.
        if (inherited := getattr(super(), "stop", None)) is not None:
            await maybe_await(inherited(success))

    # Services for subclasses and for people.

    async def now[T: SignalDatatype](self, signal: SignalR[T]) -> T:
        """The value of ``signal``, asked for ahead of all that waits for the link; subscribers see it too."""
        if self._mock is not None:
            value: T = await signal.get_value()
            return value
        reading: Reading[T] = await self._link_connector.backend_of(signal).fresh(Lane.URGENT)
        return reading["value"]

    def follow[T: SignalDatatype](self, signal: SignalR[T], follower: Callable[[T], None]) -> None:
        """Call ``follower`` with each value of ``signal`` that is read; after a write it is read back for that."""
        self._link_connector.backend_of(signal).follow(follower)

    def seen(self, signal: Signal[Any]) -> Sample | None:
        """The value of ``signal`` seen last and when that was, without asking; None before there is one. Any thread."""
        return self._link_connector.backend_of(signal).seen

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

    def limits_of(self, signal: Signal[Any]) -> tuple[float, float] | None:
        """Lowest and highest value that may be written to ``signal`` now; None where there are none."""
        return self._link_connector.backend_of(signal).limits

    def units_of(self, signal: Signal[Any]) -> str | None:
        """Units of ``signal`` as they are known now; None where there are none."""
        return self._link_connector.backend_of(signal).units

    async def reacquaint(self) -> None:
        """The instrument was changed on purpose so that ``identity`` differs: that is its identity from now on.

        Nothing that was written before is restored after a loss of the link: it may mean something else now.
        """
        await self._link_connector.reacquaint(self)

    def last[T: SignalDatatype](self, signal: Signal[T], otherwise: T) -> T:
        """The value of ``signal`` seen last, without asking; ``otherwise`` when there is none. Any thread."""
        seen = self.seen(signal)
        value: T = otherwise if seen is None else seen.value
        return value

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
