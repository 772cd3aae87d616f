"""What an ESP300 controller and its axes share: protocol, identity, error queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rdaq_ophyd.devices._esp300_errors import ErrorQueue
from rdaq_ophyd.errors import WrongInstrument
from rdaq_ophyd.link import Lane, Line, SerialSettings
from rdaq_ophyd.signals import LineProtocol, LinkDevice

PROTOCOL = LineProtocol(
    command_end="\r", reply=Line(b"\r\n"), timeout=1.0, serial=SerialSettings(baudrate=19200), encoding="latin-1"
)
"""As in the manual."""


class Esp300Device(LinkDevice):
    """The base of both."""

    protocol: ClassVar[LineProtocol] = PROTOCOL
    """Users disagree whether the controller needs flow control, and some units answer only with RTS/CTS:
    ``serial=SerialSettings(19200, rtscts=True)``. Behind a serial server the port is ``tcp://host:port``."""
    address_field: ClassVar[str] = "axis"
    write_check: ClassVar[str] = "TB?"
    heartbeat: ClassVar[str] = "VE?"
    number: int = 0

    @property
    def errors(self) -> ErrorQueue:
        """The controller's error queue, as far as it was read."""
        return ErrorQueue.of(self.channel.link)

    @property
    def label(self) -> str:
        """The device in messages."""
        return f"{self.name or type(self).__name__} (axis {self.number})" if self.number else self.name

    async def identify(self) -> None:
        """Make sure that an ESP300 or ESP301 answers.

        :raises WrongInstrument: something else answers.
        """
        # An empty line first: what an earlier program left unfinished must not spoil the question.
        await self.channel.tell("", safe=True)
        version = await self.channel.ask("VE?")
        if not version.upper().startswith("ESP30"):
            raise self._wrong(repr(version))
        await self.empty_errors()
        self.errors.claim(self.number)

    async def identity(self) -> Mapping[str, str]:
        """The controller's firmware; of an axis, its stage (model and serial number) and the unit it counts in."""
        if self.number:
            # Positions in another unit would be other places: that needs a person who connects again.
            return {"stage": await self.channel.ask("{axis}ID?"), "unit": await self.channel.ask("{axis}SN?")}
        return {"firmware": await self.channel.ask("VE?")}

    def _wrong(self, said: str) -> WrongInstrument:
        return WrongInstrument(
            f"{self.name}: {self.channel.url} is no ESP300; to 'VE?' it said {said}",
            hint="is the port the right one? `rdaq doctor` lists what answers where",
        )

    async def check_write(self, reply: str, command: str) -> None:  # noqa: ARG002 - the error names the cause itself
        """Raise what the controller thinks of the last command.

        :raises InstrumentError: it queued an error; names axis, code and cause.
        """
        await self.empty_errors(reply)
        self.errors.raise_for(self.number, self.label)

    def unheard(self, reply: str, command: str) -> None:  # noqa: ARG002 - the error names the cause itself
        """Keep what the controller thought of a command whose sender was cancelled meanwhile."""
        self.errors.overhear(reply)

    async def empty_errors(self, first: str | None = None, lane: Lane = Lane.NORMAL) -> None:
        """Read the controller's error queue until it is empty; what is in it is kept for the axes.

        :param first: a reply to ``TB?`` that was read already.
        """
        errors, channel = self.errors, self.channel
        await errors.empty(
            lambda question: channel.exchange(question, lane=lane, safe=True, unheard=errors.overhear), first
        )
