"""What a declared instrument and each of its channels do by what their file says."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ophyd_async.core import StandardReadable

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.declaration import AskedLimits, Declaration, Scope
from rdaq_ophyd.declaration import SafeState as DeclaredSafeState
from rdaq_ophyd.devices._declared_errors import Fault, judge
from rdaq_ophyd.errors import BadReply, InstrumentError, LimitError, UnknownName
from rdaq_ophyd.link import Lane, Link, SerialSettings, is_stream
from rdaq_ophyd.signals import LinkDevice, check_limits, parse_float, tighter
from rdaq_ophyd.stop import SafeState

logger = logging.getLogger(__name__)

NOTHING_SENT = StopCapability(
    StopMeans.SOFTWARE, None, "its file declares no stop: nothing is sent; what waits for it here is given up"
)


class DeclaredPart(LinkDevice, StandardReadable):
    """The base of both.

    :param link: URL of the port, or a link.
    :param address: on a bus, where the file declares one.
    :param name: of the device.
    :param serial: line settings other than those of the file.
    :param texts: what else stands in braces in the texts of this part: its channel.
    """

    declaration: ClassVar[Declaration]
    scope: ClassVar[Scope]
    stop_capability: ClassVar[StopCapability] = NOTHING_SENT

    def __init__(
        self,
        link: Link | str,
        address: str | int | None = None,
        name: str = "",
        *,
        serial: SerialSettings | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self._own_limits: dict[str, tuple[float, float]] = {}
        self._safe_state = self.scope.safe_state
        if self._safe_state is not None:
            self._safe_state = self._safe_state.model_copy(update={"power_off": ""})
        super().__init__(link, address, name, serial=serial)
        if texts:
            self.channel.fields |= texts
            self.channel.who = ", ".join(f"{field} {value}" for field, value in self.channel.fields.items())

    async def after_connect(self) -> None:
        """Ask for the limits that the instrument tells itself.

        :raises BadReply: the answers are no range.
        """
        for name, signal in self.scope.signal.items():
            if not isinstance(signal.limits, AskedLimits):
                continue
            label = f"{self.name}-{name}"
            low, high = [
                await self.channel.value(label, text, parse_float) for text in (signal.limits.low, signal.limits.high)
            ]
            if low >= high:
                raise BadReply(
                    f"{label}: the instrument says that {low:g} to {high:g} is allowed", hint="see its manual"
                )
            self.set_metadata(getattr(self, name), limits=self._with_own(name, (low, high)))

    def tighten(self, name: str, limits: tuple[float, float]) -> None:
        """Allow what lies within ``limits`` only, of what the file and the instrument allow.

        :raises UnknownName: there is no such setting.
        :raises LimitError: it is no number, they are no limits, or have nothing in common with those of the file.
        """
        signal = self.scope.signal.get(name)
        if signal is None:
            raise UnknownName.among(f"signal of {self.declaration.instrument.name}", name, self.scope.signal)
        if not signal.tell or signal.type not in {"float", "int"}:
            raise LimitError(f"{name} has no limits: it is no number that can be set", hint="leave them out")
        own = check_limits(name, limits)
        if own is not None:
            self._own_limits[name] = own
            declared = signal.limits if isinstance(signal.limits, tuple) else None
            self.set_metadata(getattr(self, name), limits=self._with_own(name, declared))

    def make_safe_by(self, state: DeclaredSafeState) -> None:
        """What stop-all and the watchdog do instead of what the file says."""
        self._safe_state = state

    def _with_own(self, name: str, declared: tuple[float, float] | None) -> tuple[float, float] | None:
        found = tighter(declared, self._own_limits.get(name))
        if found is not None and declared is not None and found[0] > found[1]:
            own = "{:g} to {:g}".format(*self._own_limits[name])
            raise LimitError(
                f"{name}: no value is within {own} and {declared[0]:g} to {declared[1]:g}", hint="mend them"
            )
        return found

    def safe_states(self) -> Sequence[SafeState]:
        """As the file says, or the rig."""
        safe, protocol, text = self._safe_state, self.channel.protocol, self.channel.text
        if safe is None:
            return ()
        return [
            SafeState(
                device=self.name,
                halt=protocol.encode(*map(text, safe.tell)),
                preempt=safe.preempt and is_stream(self.channel.url),
                question=protocol.encode(text(safe.ask)) if safe.ask else b"",
                end=self.declaration.link.reply_end.encode(protocol.encoding),
                safe=safe.safe,
                seconds=safe.seconds,
                reply_timeout=protocol.timeout,
                abort=protocol.encode(text(safe.abort)) if safe.abort else b"",
                power_off=protocol.encode(text(safe.power_off)) if safe.power_off else b"",
                first=safe.first,
                answered=safe.answered,
            )
        ]

    async def check_write(self, reply: str, command: str) -> None:
        """Raise what the instrument thinks of a command, and whatever else is in its queue.

        :raises InstrumentError: it complains.
        """
        faults = await self.empty_errors(reply)
        if not faults:
            return
        error = InstrumentError(self.name, faults[0].code, f"{faults[0].cause} (after {command!r})")
        for fault in faults[1:]:
            error.add_note(f"and error {fault.code}: {fault.cause}")
        raise error

    def unheard(self, reply: str, command: str) -> None:
        """Tell of an error that nobody waits for any more, since the instrument tells it once only."""
        errors = self.declaration.errors
        if errors is None:
            return
        for fault in judge(errors, reply, f"{self.name}: {self.channel.url}", self.channel.text(errors.ask)):
            logger.warning("%s: instrument error %d: %s (after %r)", self.name, fault.code, fault.cause, command)

    async def empty_errors(self, first: str | None = None) -> list[Fault]:
        """Read the instrument's errors until there are no more.

        :param first: a reply that was read already.
        """
        errors, channel = self.declaration.errors, self.channel
        if errors is None:
            return []
        found: list[Fault] = []
        who, question = f"{self.name}: {channel.url}", channel.text(errors.ask)
        for _ in range(errors.queue):
            reply = first
            if reply is None:
                reply = await channel.exchange(
                    question, safe=True, unheard=lambda said: self.unheard(said, "a command")
                )
            first = None
            try:
                now = judge(errors, reply, who, question)
            except BadReply:
                channel.link.resync()
                raise
            if not now:
                break
            found += now
        return found

    async def says(self, question: str, pattern: str, lane: Lane = Lane.NORMAL) -> bool:
        """Whether the instrument answers ``question`` so."""
        said = await self.channel.ask(question, lane=lane)
        return re.fullmatch(pattern, said) is not None
