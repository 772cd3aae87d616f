"""Devices and signals of a server, as attributes with tab completion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rdaq_ophyd.wire import messages

from . import _ask
from ._call import Calls
from ._facts import Location
from ._names import DeviceFacts, SignalFacts

SET = 10.0
"""Seconds until a set counts as failed, unless given."""


class RemoteSignal(SignalFacts):
    """A signal: ``client.devices.x.velocity.set(2.0)``.

    :ivar units: as on the instrument.
    :ivar limits: lowest and highest value, None where none are known.
    :ivar choices: of an enum.
    """

    _calls: Calls

    def get(self) -> Any:
        """Its value, asked from the instrument now."""
        return self._calls.do(_ask.value(self.name))

    def set(self, value: Any, *, timeout: float = SET) -> Any:
        """Set it, and give what was read back.

        :param timeout: seconds.
        :raises LimitError: another type, not finite, outside its limits.
        :raises EngineBusy: a plan is under way.
        """
        return self._calls.do(_ask.put(self.name, value, timeout))


class RemoteDevice(DeviceFacts):
    """A device, or a part of one.

    :ivar capabilities: what it can do.
    :ivar stop_capability: how, and how soon, it stops.
    """

    _calls: Calls
    _signal_class = RemoteSignal

    def _describe(self) -> None:
        self._take(self._calls.do(_ask.device(self.name)))

    def read(self) -> dict[str, Any]:
        """Readings by data key, as in an event: ``{"x": {"value": …, "timestamp": …, "alarm_severity": …}}``."""
        return self._calls.do(_ask.read(self.name))

    def locate(self) -> Location:
        """Where it is, and where it was sent.

        :raises LimitError: it is no axis.
        """
        return self._calls.do(_ask.locate(self.name))[self.name]

    def trigger(self, *, timeout: float = 0.0) -> dict[str, Any]:
        """Take one reading and give it, or do what has none: ``x.home.trigger()``.

        Who is interrupted while it waits stops it.

        :param timeout: seconds; 0: as long as the device takes.
        :raises LimitError: it cannot be triggered, or only in a run.
        :raises EngineBusy: a plan is under way.
        """
        return self._calls.do(_ask.trigger(self.name, timeout))

    def reconnect(self) -> None:
        """Try it again, plugged in meanwhile; of a device that failed: ``client.reconnect(name)``."""
        self._note(self._calls.do(_ask.reconnect(self.name)))

    def moving(
        self, target: float, *, relative: bool = False, units: str | None = None
    ) -> Iterator[messages.MoveProgress]:
        """Move, and say where it is; whoever leaves the loop stops the move.

        :param units: the unit that is meant; it must be the axis' own. None: that one.
        :raises LimitError: outside its limits; nothing was sent.
        :raises UnitsError: it moves in another unit; nothing was sent.
        :raises EngineBusy: a plan is under way.
        """
        if units is not None:
            self._check_units(self.locate(), units)
        request = messages.MoveRequest(name=self.name, target=target, relative=relative)
        return iter(self._calls.follow("Move", request))

    def move(
        self,
        target: float,
        *,
        relative: bool = False,
        units: str | None = None,
        watch: Callable[[messages.MoveProgress], object] | None = None,
    ) -> float:
        """Move and wait; where it is then. Ctrl-C stops the move.

        :param units: as for :meth:`moving`.
        :param watch: called with each progress.
        """
        last = float("nan")
        for progress in self.moving(target, relative=relative, units=units):
            last = progress.current
            if watch is not None:
                watch(progress)
        return last

    def stop(self) -> None:
        """Stop it. Everything is stopped by ``Client.stop_all``."""
        self._calls.do(_ask.stop_device(self.name))
