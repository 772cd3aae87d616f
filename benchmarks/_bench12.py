"""The devices of F12: a stage and a meter with nothing but what a point of a scan needs, on instruments that answer at
once."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from ophyd_async.core import SignalR, SignalRW, StandardReadable
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.link import Line
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice

PROTOCOL = LineProtocol(command_end="\r", reply=Line(b"\r\n"))


class InstantStage(LinkDevice, StandardReadable):
    """A position that is written and read back."""

    protocol: ClassVar[LineProtocol] = PROTOCOL
    position: Annotated[SignalRW[float], Ask("1TP?", "1PA{value:.6f}", units="mm"), Format.HINTED_UNCACHED_SIGNAL]

    def set(self, value: float) -> Any:
        """Write it."""
        return self.position.set(value)


class InstantMeter(LinkDevice, StandardReadable):
    """A number that is asked for."""

    protocol: ClassVar[LineProtocol] = PROTOCOL
    power: Annotated[SignalR[float], Ask("1TP?", units="W"), Format.HINTED_UNCACHED_SIGNAL]
