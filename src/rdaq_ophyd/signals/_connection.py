"""State and statistics of a link as signals, beside the signals of the device at its other end."""

from __future__ import annotations

from typing import Annotated, Any

from ophyd_async.core import Device, DeviceConnector, DeviceFiller, DeviceMock, Signal, SignalR
from ophyd_async.core import _mock_signal_backend as mock_backend

from ._command import LinkCommandBackend
from ._link_view import ConnectionState, LinkView, Statistic
from ._statistic import ConnectionBackend


class ConnectionConnector(DeviceConnector):
    """Makes the signals of a connection from their annotations.

    :param view: of the link.
    """

    def __init__(self, view: LinkView) -> None:
        self._view = view
        self._filled = False

    def create_children_from_annotations(self, device: Device) -> None:
        """Make them; further calls do nothing."""
        if self._filled:
            return
        self._filled = True
        filler: DeviceFiller[ConnectionBackend[Any], DeviceConnector, LinkCommandBackend] = DeviceFiller(
            device,
            signal_backend_factory=ConnectionBackend,
            device_connector_factory=DeviceConnector,
            command_backend_factory=LinkCommandBackend,
        )
        for backend, extras in filler.create_signals_from_annotations():
            backend.bind(extras.pop(), self._view)
        filler.check_created()  # type: ignore[no-untyped-call]

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Connected, and nothing was exchanged yet."""
        await super().connect_mock(device, mock)
        for _, child in device.children():
            if isinstance(child, Signal):
                _seed(child)


def _seed(signal: Signal[Any]) -> None:
    mocked, ours = signal._connector.backend, signal._connector._init_backend
    if not isinstance(mocked, mock_backend.MockSignalBackend) or not isinstance(ours, ConnectionBackend):
        return
    statistic = ours.statistic
    if statistic.units is not None:
        mocked.set_units(statistic.units)
    if not statistic.field:
        mocked.set_value(ConnectionState.CONNECTED)


class Connection(Device):
    """How the link of a device is: its state, as an alarm too, and what went over it.

    The statistics are those of the link, which devices on the same port share; they count since the first of them
    connected. They are no part of the device's readings.

    :param view: of the link.
    """

    state: Annotated[SignalR[ConnectionState], Statistic()]
    """Alarm severity 0 connected, 2 mute or checking, 3 lost, wrong instrument or closed; told at once."""
    exchanges: Annotated[SignalR[int], Statistic("exchanges")]
    rate: Annotated[SignalR[float], Statistic("rate", "1/s", 1)]
    latency_p50: Annotated[SignalR[float], Statistic("latency_p50", "s", 4)]
    latency_p99: Annotated[SignalR[float], Statistic("latency_p99", "s", 4)]
    latency_max: Annotated[SignalR[float], Statistic("latency_max", "s", 4)]
    timeouts: Annotated[SignalR[int], Statistic("timeouts")]
    bad_replies: Annotated[SignalR[int], Statistic("bad_replies")]
    resyncs: Annotated[SignalR[int], Statistic("resyncs")]
    lost: Annotated[SignalR[int], Statistic("lost")]
    reopened: Annotated[SignalR[int], Statistic("reopened")]
    queued: Annotated[SignalR[int], Statistic("queued")]

    def __init__(self, view: LinkView, name: str = "") -> None:
        self.view = view
        super().__init__(name=name, connector=ConnectionConnector(view))
