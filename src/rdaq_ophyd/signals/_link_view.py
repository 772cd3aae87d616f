"""What a link is like at this moment, and who is told when that changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ophyd_async.core import StrictEnum

from rdaq_ophyd.link import Link, LinkState

from ._annotations import Sample

logger = logging.getLogger(__name__)


class ConnectionState(StrictEnum):
    """What is known of the instrument at the other end: the words of ``LinkState``, as a signal has them."""

    CLOSED = "closed"
    CONNECTED = "connected"
    MUTE = "mute"
    LOST = "lost"
    CHECKING = "checking"
    WRONG = "wrong instrument"


SEVERITY = {ConnectionState.CONNECTED: 0, ConnectionState.MUTE: 2, ConnectionState.CHECKING: 2}
"""Alarm severity of the states (as in EPICS); of all others it is 3, invalid: there is nobody to ask."""


@dataclass(frozen=True)
class Statistic:
    """What a signal of a ``Connection`` shows.

    :param field: of ``LinkStatistics``; empty for the state.
    :param units: as recorded; None for counts.
    :param precision: digits after the point when displayed.
    """

    field: str = ""
    units: str | None = None
    precision: int | None = None


class LinkView:
    """The link that the signals of one connection look at; none while the device is not connected.

    :param url: of the link.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._link: Link | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._told: tuple[asyncio.AbstractEventLoop, Callable[[Sample], None]] | None = None

    def attach(self, link: Link | None) -> None:
        """Look at ``link`` from now on; subscribers of the state hear of it."""
        if link is self._link:
            return
        self._unwatch()
        self._link = link
        self._unwatch = (lambda: None) if link is None else link.watch(self._changed)
        self._changed(LinkState.CLOSED if link is None else link.state)

    def take(self, statistic: Statistic, datatype: type[Any]) -> Sample:
        """What ``statistic`` is now; before there is a link, closed and nothing."""
        link = self._link
        if not statistic.field:
            return _state(LinkState.CLOSED if link is None else link.state)
        return Sample(datatype(0 if link is None else getattr(link.statistics, statistic.field)))

    def tell(self, subscriber: Callable[[Sample], None] | None) -> None:
        """Call ``subscriber`` on this event loop at each change of the state, until called with None."""
        self._told = None if subscriber is None else (asyncio.get_running_loop(), subscriber)

    def _changed(self, new: LinkState) -> None:
        # From any thread of the link, which must live on whatever became of the subscriber's loop.
        if (told := self._told) is None:
            return
        loop, subscriber = told
        try:
            loop.call_soon_threadsafe(subscriber, _state(new))
        except RuntimeError as error:
            self._told = None
            logger.warning("%s: nobody hears any more that it is %s: %s", self.url, new, error)


def _state(state: LinkState) -> Sample:
    value = ConnectionState(state.value)
    return Sample(value, severity=SEVERITY.get(value, 3))
