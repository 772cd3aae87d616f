"""One device on a link that was lost and came back: is it the same instrument, and what did it forget?"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdaq_ophyd.errors import LinkClosed, StopLatched, WrongInstrument
from rdaq_ophyd.link import Link

from ._annotations import Ask
from ._backend import LinkSignalBackend

if TYPE_CHECKING:
    from ._device import LinkDevice

logger = logging.getLogger(__name__)
SAME = 1e-6
"""Relative difference up to which two numbers are the same setting: what is left of one after a few printed digits."""

_Signal = LinkSignalBackend[Any]


class Member:
    """A device that connected.

    :param device: on this event loop.
    :param identity: what its instrument said of itself then.
    :param signals: its signals over the link.
    :ivar opening: the link's number of openings when the instrument was known last.
    """

    def __init__(self, device: LinkDevice, identity: Mapping[str, str], signals: Sequence[_Signal]) -> None:
        self.opening = 0
        self.loop = asyncio.get_running_loop()
        self._device, self._identity, self._signals = device, identity, signals
        # What the instrument had made of what this process wrote, until it is known whether it still has it.
        self._before: dict[_Signal, Any] = {}

    @property
    def name(self) -> str:
        """Of the device."""
        return self._device.name

    def remember(self) -> None:
        """Note what the instrument had when its link was lost, before a signal is read again. Any thread."""
        for signal in self._signals:
            spec = signal.value_source.quantity
            if signal.written is not None and isinstance(spec, Ask) and spec.read and signal not in self._before:
                self._before[signal] = signal.written if signal.kept is None else signal.kept.value

    async def recognise(self, link: Link) -> None:
        """The first exchange after the link opened, and the same instrument as before.

        :raises WrongInstrument: it is another one.
        """
        with link.handshake():
            await self._device.handshake()
            now = await self._device.identity()
        if now != self._identity:
            raise WrongInstrument(
                f"{self.name}: on {link.url} is another instrument: {_words(now)}; before it was "
                f"{_words(self._identity)}",
                hint="plug the first one in again, or, if it was exchanged, close the device and connect it again",
            )

    async def settle(self) -> None:
        """The driver's own part; what goes wrong there is logged, since nobody waits for it."""
        for hook in (self._device.after_reconnect, self._device.after_connect):
            try:
                await hook()
            except Exception:  # a driver's: the other devices and settings must be seen to all the same
                logger.exception("%s: %s", self.name, hook.__name__.replace("_", " "))

    async def restore(self) -> None:
        """Write settings again that the instrument lost, where they are declared so; tell of all others."""
        for signal, before in list(self._before.items()):
            try:
                await self._restore(signal, before)
            except LinkClosed as error:  # lost once more: when it is back, this is still to be done
                logger.warning("%s: not looked at: %s", signal.name, error)
                return
            except StopLatched as error:
                logger.warning("%s: lost its setting %s, and keeps what it has: %s", signal.name, signal.written, error)
            except Exception as error:  # noqa: BLE001  whatever it is, the others are looked at, and a person is told
                logger.warning("whether %s still has %s is not known: %s", signal.name, signal.written, error)
            del self._before[signal]

    async def _restore(self, signal: _Signal, before: Any) -> None:
        now, wanted = await signal.get_value(), signal.written
        if _same(now, before) or _same(now, wanted):
            return
        if not signal.value_source.quantity.restore:  # type: ignore[attr-defined]
            logger.warning(
                "%s: is %s since its link came back, %s was written before; not written again", signal.name, now, wanted
            )
            return
        logger.warning("%s: is %s since its link came back; writing %s again", signal.name, now, wanted)
        await signal.put(wanted)


def _same(one: Any, other: Any) -> bool:
    numbers = all(isinstance(value, int | float) for value in (one, other))
    return math.isclose(one, other, rel_tol=SAME, abs_tol=SAME * SAME) if numbers else bool(one == other)


def _words(identity: Mapping[str, str]) -> str:
    return ", ".join(f"{what} {value}" for what, value in identity.items()) or "(it tells nothing of itself)"
