"""Where the value of a signal comes from: one question on the wire, or a method of the device."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from string import Formatter
from typing import Any, Protocol

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Lane

from ._annotations import Ask, Measure, Quantity, Sample
from ._channel import Channel, WriteChecker
from ._parse import parser_for


class ValueSource(Protocol):
    """Reads and writes one value."""

    quantity: Quantity

    def address(self, *, read: bool) -> str:
        """What identifies the value on the instrument, for ``Signal.source``."""
        ...

    async def get(self, name: str, lane: Lane | None = None) -> Sample:
        """Read the value now; ``lane`` None: the declared one."""
        ...

    def as_sent(self, value: Any) -> Any:
        """What of the value arrives: its digits that have a place in the command."""
        ...

    async def put(self, name: str, value: Any) -> None:
        """Write the value."""
        ...


class AskSource:
    """A value behind an ``Ask``."""

    def __init__(self, ask: Ask, datatype: type | None, channel: Channel, check: WriteChecker | None) -> None:
        self.quantity: Quantity = ask
        self._ask = ask
        self._channel = channel
        self._check = check if ask.check and ask.reply is None else None
        codes = None if ask.codes is None else {code: value for value, code in ask.codes.items()}
        self._parse = ask.parse or parser_for(datatype, codes)
        self._written: Any = ask.initial

    def address(self, *, read: bool) -> str:
        """The text of the question or of the command."""
        text = self._ask.read if read else self._ask.write
        if isinstance(text, Mapping):
            text = "|".join(text.values())
        for field, value in self._channel.fields.items():
            text = text.replace("{" + field + "}", str(value))
        return text

    async def get(self, name: str, lane: Lane | None = None) -> Sample:
        """Ask the instrument.

        :raises BadReply: the reply is not what the type allows; names signal, reply and what was expected.
        """
        ask = self._ask
        if not ask.read:
            return Sample(self._written)
        lane = ask.lane if lane is None else lane
        value = await self._channel.value(name, ask.read, self._parse, lane=lane, timeout=ask.timeout, share=True)
        return Sample(value)

    def as_sent(self, value: Any) -> Any:
        """What of the value arrives: ``{value:.0f}`` makes 0 of 0.4."""
        write = self._ask.write
        if self._ask.codes is not None or not isinstance(write, str) or not isinstance(value, float):
            return value
        specs = [spec or "" for _, field, spec, _ in Formatter().parse(write) if field == "value"]
        try:
            return float(format(value, specs[0]))
        except (IndexError, ValueError):
            # Written in a way that is no number of its own: as a percentage, with commas.
            return value

    async def put(self, name: str, value: Any) -> None:
        """Send the command that sets ``value``, and ask the instrument whether it took it."""
        ask, channel = self._ask, self._channel
        command = channel.filled(name, self._template(name, value), {"value": self._code(name, value)})
        safe = ask.is_safe(value)
        if ask.reply is not None:
            await channel.answered(name, command, ask.reply, lane=ask.lane, timeout=ask.timeout, safe=safe)
        elif self._check is None:
            await channel.link.tell(channel.protocol.encode(command), lane=ask.lane, safe=safe, who=channel.who)
        else:
            await channel.checked(command, self._check, lane=ask.lane, safe=safe)
        self._written = self.as_sent(value)
        await channel.settle(ask.settle)

    def _template(self, name: str, value: Any) -> str:
        write = self._ask.write
        if isinstance(write, Mapping):
            if value not in write:
                raise LimitError(f"{name}: {value!r} is not one of {', '.join(map(repr, write))}")
            return write[value]
        if not write:
            raise LimitError(f"{name}: cannot be written", hint="it is a reading; set the signal that drives it")
        return write

    def _code(self, name: str, value: Any) -> Any:
        codes = self._ask.codes
        if codes is None:
            return value
        if value not in codes:
            raise LimitError(f"{name}: {value!r} is not one of {', '.join(map(repr, codes))}")
        return codes[value]


class MeasureSource:
    """A value that a method of the device takes."""

    def __init__(
        self,
        measure: Measure,
        method: Callable[[Lane], Awaitable[Sample]],
        channel: Channel,
        write: Callable[[Any], Awaitable[None]] | None = None,
    ) -> None:
        self.quantity: Quantity = measure
        self._name, self._method, self._channel, self._write = measure.method, method, channel, write

    def address(self, *, read: bool) -> str:  # noqa: ARG002 - the interface's
        """The name of the method, and of which device on the link: ``address 3 read_angle``."""
        who = self._channel.who
        return self._name.strip("_") if who is None else f"{who} {self._name.strip('_')}"

    async def get(self, name: str, lane: Lane | None = None) -> Sample:  # noqa: ARG002 - the interface's
        """Take a measurement."""
        return await self._method(Lane.NORMAL if lane is None else lane)

    def as_sent(self, value: Any) -> Any:
        """All of it: what the device makes of it is its own business."""
        return value

    async def put(self, name: str, value: Any) -> None:
        """Call the device's method that sets ``value``.

        :raises LimitError: it has none.
        """
        if self._write is None:
            raise LimitError(f"{name}: cannot be written", hint="it is a measurement")
        await self._write(value)
