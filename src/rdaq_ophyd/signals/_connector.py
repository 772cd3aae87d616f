"""Creates a device's signals and commands from their annotations, and connects them over a link."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from event_model import Limits, LimitsRange
from ophyd_async.core import Device, DeviceConnector, DeviceFiller, DeviceMock, NotConnectedError, Signal
from ophyd_async.core import _mock_signal_backend as mock_backend

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.link import Link, SerialSettings, acquire, release

from ._annotations import Ask, Do, Measure, Tell
from ._backend import LinkSignalBackend
from ._channel import Channel
from ._command import LinkCommandBackend
from ._feeding import Feeding
from ._link_view import LinkView
from ._member import Member
from ._reconnect import catch_up, join, leave
from ._sources import AskSource, MeasureSource

if TYPE_CHECKING:
    from ._device import LinkDevice


class LinkConnector(DeviceConnector):
    """Connects one device over a link, which devices at the same URL share.

    :param link: the URL of a link to share, or a link of the caller's own (whoever made it closes it).
    :param channel: how the device talks.
    :param settings: of the serial line.
    """

    def __init__(self, link: Link | str, channel: Channel, settings: SerialSettings | None = None) -> None:
        self.channel = channel
        self._given = link if isinstance(link, Link) else None
        self._settings = settings
        self._link: Link | None = None
        self._signals: list[LinkSignalBackend[Any]] = []
        self._commands: list[LinkCommandBackend] = []
        self._filled = False
        self.view = LinkView(channel.url)
        self._member: Member | None = None
        self._feeding: Feeding | None = None

    def create_children_from_annotations(self, device: Device) -> None:
        """Make the declared signals and commands; further calls do nothing."""
        if self._filled:
            return
        self._filled = True
        owner = cast("LinkDevice", device)
        filler: DeviceFiller[LinkSignalBackend[Any], DeviceConnector, LinkCommandBackend] = DeviceFiller(
            device,
            signal_backend_factory=LinkSignalBackend,
            device_connector_factory=DeviceConnector,
            command_backend_factory=LinkCommandBackend,
        )
        for backend, extras in filler.create_signals_from_annotations():
            self._bind_signal(owner, backend, extras)
        for command, extras in filler.create_commands_from_annotations():
            self._bind_command(owner, command, extras)
        filler.check_created()  # type: ignore[no-untyped-call]

    def _bind_signal(self, device: LinkDevice, backend: LinkSignalBackend[Any], extras: list[Any]) -> None:
        spec = _take(extras, Ask | Measure, device)
        if isinstance(spec, Ask):
            backend.bind(AskSource(spec, backend.datatype, self.channel, device.write_checker), self.channel.url)
        else:
            write = getattr(device, spec.write) if spec.write else None
            backend.bind(MeasureSource(spec, getattr(device, spec.method), self.channel, write), self.channel.url)
        self._signals.append(backend)

    def _bind_command(self, device: LinkDevice, backend: LinkCommandBackend, extras: list[Any]) -> None:
        spec = _take(extras, Tell | Do, device)
        if isinstance(spec, Tell):
            backend.bind_tell(spec, self.channel, device.write_checker)
        else:
            backend.bind_do(spec, getattr(device, spec.method), self.channel)
        self._commands.append(backend)

    def backend_of(self, signal: Signal[Any]) -> LinkSignalBackend[Any]:
        """The backend that was made for ``signal``, also while it is mocked.

        :raises KeyError: the signal is not one of this device's.
        """
        wanted = signal._connector._init_backend
        for backend in self._signals:
            if backend is wanted:
                return backend
        raise KeyError(f"{signal} is not read over this link")

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Connect without an instrument. Units, precision, limits and initial values are those declared."""
        self.name_children(device)
        for name, child in device.children():
            await child.connect(mock=child._mock_class(name, mock))
            if isinstance(child, Signal):
                self.seed_mock(child)
        await mock.connect(device)

    def seed_mock(self, signal: Signal[Any]) -> None:
        """Give a mocked signal what its declaration says; ophyd-async's mock knows only its type."""
        backend = self.backend_of(signal)
        mocked = signal._connector.backend
        if not isinstance(mocked, mock_backend.MockSignalBackend):
            return
        metadata = mocked.soft_backend.metadata
        if backend.units is not None:
            metadata["units"] = backend.units
        if backend.precision is not None:
            metadata["precision"] = backend.precision
        if backend.limits is not None:
            metadata["limits"] = Limits(control=LimitsRange(low=backend.limits[0], high=backend.limits[1]))
        if (initial := backend.value_source.quantity.initial) is not None:
            mocked.set_value(initial)

    async def connect_real(self, device: Device, timeout: float, force_reconnect: bool) -> None:
        """Open the link, let the device say who it is, connect the signals, let the device read its configuration.

        :raises LinkError: what went wrong, for one: PortNotFound, PortBusy, ReplyTimeout, WrongInstrument.
        """
        owner = cast("LinkDevice", device)
        self.name_children(device)
        try:
            await asyncio.wait_for(self._open_link(owner), timeout)
            await owner.handshake()
            await self._join(owner)
            await self._connect_children(device, timeout, force_reconnect)
            await owner.after_connect()
            self._feed(owner)
            if self._link is not None and owner.whole is owner:
                await catch_up(self._link)
        except BaseException:
            await asyncio.to_thread(owner.close)
            raise

    async def _open_link(self, device: LinkDevice) -> None:
        if self._link is None and self._given is None:
            self._link = acquire(self.channel.url, self._settings)
        link = self._given or self._link
        if link is not None:
            if self._given is None:
                link.reopening = True  # whose `_join` answers when it is back; others' links are theirs to keep
            if device.heartbeat and device.feed:
                raise TypeError(
                    f"{type(device).__name__}: a device with a feed has no heartbeat, which would feed it too"
                )
            if device.heartbeat and device.whole is device:
                question, protocol = self.channel.text(device.heartbeat), self.channel.protocol
                link.heartbeat(protocol.encode(question), protocol.framing(question), device.heartbeat_period)
            await asyncio.to_thread(link.open)
            self.channel.attach(link)
            self.view.attach(link)
            link.safety.declare(self, device.safe_states, device.note_stop)

    def _feed(self, device: LinkDevice) -> None:
        self._starve()
        if device.feed:
            self._feeding = Feeding(self.channel, device.feed, device.feed_period)

    def _starve(self) -> None:
        feeding, self._feeding = self._feeding, None
        if feeding is not None:
            feeding.stop()

    async def _join(self, device: LinkDevice) -> None:
        self._leave()
        if self._link is not None:
            self._member = Member(device, await device.identity(), self._signals)
            join(self._link, self._member)

    async def reacquaint(self, device: LinkDevice) -> None:
        """The instrument was made another one on purpose: know it as it is now, and restore nothing from before."""
        for backend in self._signals:
            backend.forget_written()
        if self._member is not None:
            await self._join(device)

    def _leave(self) -> None:
        member, self._member = self._member, None
        if member is not None and self._link is not None:
            leave(self._link, member)

    @staticmethod
    async def _connect_children(device: Device, timeout: float, force_reconnect: bool) -> None:
        tasks = {
            asyncio.ensure_future(child.connect(timeout=timeout, force_reconnect=force_reconnect)): name
            for name, child in device.children()
        }
        if not tasks:
            return
        # At the first failure the rest is given up: on a mute instrument each of them would wait for its time-out.
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        errors = {tasks[task]: error for task in done if (error := task.exception()) is not None}
        for error in errors.values():
            # One precise error says more than the list of everything that failed with it.
            if isinstance(error, RdaqError):
                raise error
        if errors:
            raise NotConnectedError({name: error for name, error in errors.items() if isinstance(error, Exception)})

    def name_children(self, device: Device) -> None:
        """Tell the backends the names that their signals have now, for messages."""
        for _, child in device.children():
            backend = getattr(getattr(child, "_connector", None), "_init_backend", None)
            if isinstance(backend, LinkSignalBackend | LinkCommandBackend):
                backend.name = child.name

    def close(self) -> None:
        """Give the link back; the last device on it closes it. Blocks until the exchange in flight ended."""
        self._leave()
        self._starve()
        link, self._link = self._link, None
        used = link or self._given
        self.channel.attach(None)
        if used is not None:
            used.safety.retract(self)
        if link is not None:
            release(link)
        self.view.attach(None)


def _take(extras: list[Any], kinds: Any, device: Device) -> Any:
    found = [extra for extra in extras if isinstance(extra, kinds)]
    if len(found) != 1:
        raise TypeError(f"{type(device).__name__}: each signal and command needs exactly one of {kinds}, not {found}")
    extras.remove(found[0])
    return found[0]
