"""How a declared instrument that can be stopped is stopped."""

from __future__ import annotations

import logging
from functools import partial

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.declaration import Scope, Stop
from rdaq_ophyd.devices._confirm import confirming, until_still
from rdaq_ophyd.devices._declared_move import DeclaredLogic
from rdaq_ophyd.devices._declared_part import DeclaredPart
from rdaq_ophyd.link import Framing, Lane, Link, SerialSettings, is_stream

logger = logging.getLogger(__name__)


class Halting(DeclaredPart):
    """A part whose file declares a stop."""

    def __init__(
        self,
        link: Link | str,
        address: str | int | None = None,
        name: str = "",
        *,
        serial: SerialSettings | None = None,
        texts: dict[str, str] | None = None,
    ) -> None:
        super().__init__(link, address, name, serial=serial, texts=texts)
        stop = self.declared_stop
        if stop.preempt and not is_stream(self.channel.url):
            self.stop_capability = capability(stop, preempts=False)  # type: ignore[misc]

    @property
    def declared_stop(self) -> Stop:
        """The file's words about it."""
        assert self.scope.stop is not None  # the factory takes this class for such scopes alone
        return self.scope.stop

    @property
    def logic(self) -> DeclaredLogic | None:
        """How it moves; None where it does not."""
        found = getattr(self, "movable_logic", None)
        return found if isinstance(found, DeclaredLogic) else None

    def halt(self) -> None:
        """Send the stop now, from any thread, without an event loop; a move in progress fails.

        :raises LinkClosed: there is no link to the instrument.
        """
        logic, stop, channel = self.logic, self.declared_stop, self.channel
        self.note_stop()
        if self._mock is None:
            if logic is not None:
                logic.adrift = True
            if stop.preempt and is_stream(channel.url):
                channel.preempt(stop.tell)
            else:
                self._submit(channel.text(stop.tell), reply=channel.protocol.reply if stop.reply else False)
        if logic is not None:
            logic.adrift = False

    def follow_stop(self) -> None:
        """Send the stop once more, behind the exchange in flight and ahead of all that waits."""
        stop, channel = self.declared_stop, self.channel
        if self._mock is not None:
            return
        question = proof(self.scope)[0]
        if question and not stop.reply:
            # The question keeps it in turn: an urgent command without reply may pass the exchange in flight.
            self._submit(channel.text(stop.tell), channel.text(question), reply=channel.protocol.reply)
        else:
            self._submit(channel.text(stop.tell), reply=channel.protocol.reply if stop.reply else False)

    def _submit(self, *commands: str, reply: Framing | bool) -> None:
        protocol = self.channel.protocol
        self.channel.link.submit(
            protocol.encode(*commands), reply=reply, lane=Lane.URGENT, timeout=protocol.timeout, safe=True
        )

    async def stop(self, success: bool = False) -> None:
        """Send the stop and, where the file says how, make sure that it took effect. May be repeated.

        Returns within ``stop.seconds`` of the file and 3 s.

        :param success: whether a move in progress then counts as succeeded.
        :raises StopUnconfirmed: the instrument did not confirm it.
        :raises LinkClosed: there is no link to the instrument; the stop could not be sent.
        """
        logic = self.logic
        await super().stop(success)
        if logic is None:
            self.halt()
        question, safe = proof(self.scope)
        if not question or self._mock is not None:
            return
        seconds = self.declared_stop.seconds
        async with confirming(self.name, seconds, "look at the instrument; use its front panel or emergency stop"):
            await until_still(partial(self.says, question, safe, Lane.URGENT), seconds, self.name)

    async def after_reconnect(self) -> None:
        """Stop what may still move since the link was lost."""
        logic = self.logic
        if logic is not None and logic.adrift:
            logger.warning("%s: may have been moving since its link was lost; it is told to stop", self.name)
            self.halt()


def proof(scope: Scope) -> tuple[str, str]:
    """The question that proves a stop, and the reply; empty where the file tells none."""
    if scope.stop is not None and scope.stop.ask:
        return scope.stop.ask, scope.stop.safe
    done = None if scope.movable is None else scope.movable.done
    return ("", "") if done is None else (done.ask, done.reply)


def capability(stop: Stop, *, preempts: bool) -> StopCapability:
    """What the file's stop amounts to."""
    if preempts:
        return StopCapability(StopMeans.PREEMPTS, 0.005, f"{stop.tell!r} is written past all that waits")
    return StopCapability(StopMeans.URGENT_LANE, None, f"{stop.tell!r} goes after the exchange in flight")
