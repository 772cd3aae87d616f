"""Devices and signals of a server, as attributes with tab completion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rdaq_ophyd.errors import UnknownName
from rdaq_ophyd.wire import from_value, messages, to_value

from ._call import Calls

SET = 10.0
"""Seconds until a set counts as failed, unless given."""


class RemoteSignal:
    """A signal: ``client.devices.x.velocity.set(2.0)``.

    :ivar units: as on the instrument.
    :ivar limits: lowest and highest value, None where none are known.
    :ivar choices: of an enum.
    """

    def __init__(self, calls: Calls, message: messages.Signal) -> None:
        self._calls, self.name = calls, message.name
        self.units, self.choices = message.units, list(message.choices)
        self.dtype, self.writable, self.source = message.dtype, message.writable, message.source
        self.limits = (message.limits.low, message.limits.high) if message.HasField("limits") else None

    def get(self) -> Any:
        """Its value, asked from the instrument now."""
        reply = self._calls.ask("Read", messages.ReadRequest(names=[self.name]), timeout=None)
        (reading,) = reply.readings.values()
        return from_value(reading.value)

    def set(self, value: Any, *, timeout: float = SET) -> Any:
        """Set it, and give what was read back.

        :param timeout: seconds.
        :raises LimitError: another type, not finite, outside its limits.
        :raises EngineBusy: a plan is under way.
        """
        request = messages.SetRequest(name=self.name, value=to_value(value), timeout=timeout)
        return from_value(self._calls.ask("Set", request, timeout=None).readback)

    def __repr__(self) -> str:
        about = ", ".join(filter(None, [self.dtype, self.units, "" if self.writable else "read only"]))
        return f"{self.name} ({about})"


class RemoteDevice:
    """A device, or a part of one.

    :ivar capabilities: what it can do.
    :ivar stop_capability: how, and how soon, it stops.
    """

    def __init__(self, calls: Calls, message: messages.Device) -> None:
        self._calls, self.name, self.kind = calls, message.name, message.kind
        self.capabilities, self.stop_capability = list(message.capabilities), message.stop
        self.units = message.units
        self.limits = (message.limits.low, message.limits.high) if message.HasField("limits") else None
        self._children: dict[str, RemoteDevice | RemoteSignal] | None = None

    @property
    def children(self) -> dict[str, RemoteDevice | RemoteSignal]:
        """Its signals and parts, by name; asked for once."""
        if self._children is None:
            request = messages.DescribeDeviceRequest(name=self.name)
            self._take(self._calls.ask("DescribeDevice", request, timeout=None))
        return self._children or {}

    def _take(self, message: messages.Device) -> None:
        self._children = {}
        for signal in message.signals:
            self._children[signal.name.rpartition(".")[2]] = RemoteSignal(self._calls, signal)
        for part in message.parts:
            child = RemoteDevice(self._calls, part)
            child._take(part)
            self._children[part.name.rpartition(".")[2]] = child

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.children[name]
        except KeyError:
            guess = UnknownName.among(f"part of {self.name}", name, self.children)
            raise AttributeError(str(guess)) from guess

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.children})

    def read(self) -> dict[str, Any]:
        """Readings by data key, as in an event: ``{"x": {"value": …, "timestamp": …, "alarm_severity": …}}``."""
        return readings(self._calls.ask("Read", messages.ReadRequest(names=[self.name]), timeout=None))

    def moving(self, target: float, *, relative: bool = False) -> Iterator[messages.MoveProgress]:
        """Move, and say where it is; whoever leaves the loop stops the move.

        :raises LimitError: outside its limits; nothing was sent.
        :raises EngineBusy: a plan is under way.
        """
        request = messages.MoveRequest(name=self.name, target=target, relative=relative)
        return iter(self._calls.follow("Move", request))

    def move(
        self, target: float, *, relative: bool = False, watch: Callable[[messages.MoveProgress], object] | None = None
    ) -> float:
        """Move, wait, and give the position read back. Ctrl-C stops the move.

        :param watch: called with each progress.
        """
        last = float("nan")
        for progress in self.moving(target, relative=relative):
            last = progress.current
            if watch is not None:
                watch(progress)
        return last

    def stop(self) -> None:
        """Stop it. Everything is stopped by ``Client.stop_all``."""
        self._calls.ask("StopDevice", messages.StopDeviceRequest(name=self.name), timeout=None)

    def __repr__(self) -> str:
        return f"{self.name} ({self.kind}: {', '.join(self.capabilities) or 'nothing known'})"


class Devices:
    """All devices of a rig, by attribute and by name."""

    def __init__(self, calls: Calls, found: messages.ListDevicesReply) -> None:
        self._found = {device.name: RemoteDevice(calls, device) for device in found.devices}
        self.failures = dict(found.failures)

    def __getitem__(self, name: str) -> Any:
        """A device; dots reach into it.

        :raises UnknownName: with the nearest names, or why the device is not there.
        """
        head, *rest = name.split(".")
        if head in self.failures:
            raise UnknownName(f"device {head!r} is not available: {self.failures[head]}")
        if head not in self._found:
            raise UnknownName.among("device", head, self._found)
        found: Any = self._found[head]
        for part in rest:
            children = getattr(found, "children", {})
            if part not in children:
                raise UnknownName.among(f"part of {found.name}", part, children)
            found = children[part]
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownName as error:
            raise AttributeError(str(error)) from error

    def __iter__(self) -> Iterator[RemoteDevice]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._found})


def readings(reply: messages.ReadReply) -> dict[str, Any]:
    """Readings as bluesky has them."""
    return {
        key: {"value": from_value(r.value), "timestamp": r.timestamp, "alarm_severity": r.severity}
        for key, r in reply.readings.items()
    }
