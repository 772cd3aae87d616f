"""Those who show no known token: refused in words for as long as they ask seldom, else late and without a word.

A refusal never looks at who else is let in, and nobody who shows a token comes here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import unquote

from ._bucket import Bucket
from ._limits import Limits

logger = logging.getLogger(__name__)
KNOWN_ADDRESSES = 1024
"""Addresses that are remembered; the one that was refused longest ago is forgotten first."""
NETWORK = 64
"""Bits of an IPv6 address that one household or lab shares: it has all the others to choose from."""
HELD = 32
"""Refusals that are held back at a time, in all; one more is sent at once."""
HOLD = 1.0
"""Seconds for which one is held back: whoever tries again and again without looking does so once a second."""
TELL_EVERY = 60.0
"""Seconds between two lines of it in the log."""


class Refusals:
    """Counts refusals by address and in all; for one event loop.

    :param limits: how many are answered in words.
    :param throttled: called with the door, ``grpc`` or ``page``, for each one that is not.
    :param clock: seconds.
    """

    def __init__(
        self, limits: Limits, throttled: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._throttled, self._clock = limits, throttled, clock
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()
        self._all = Bucket(float(limits.refused_burst * limits.refused_share), clock())
        self._held, self._told = 0, -math.inf

    async def spare(self, peer: str, door: str) -> bool:
        """Whether a caller without a known token is told why in words; else the answer is held back for a moment.

        :param peer: where it is, as gRPC says it or a bare address.
        """
        if self._take(address_of(peer)):
            return True
        self._throttled(door)
        if self._held < HELD:
            self._held += 1
            try:
                await asyncio.sleep(HOLD)
            finally:
                self._held -= 1
        return False

    def _take(self, address: str) -> bool:
        rate, burst, share = self._limits.refused_rate, self._limits.refused_burst, self._limits.refused_share
        bucket, now = self._addresses.get(address), self._clock()
        if bucket is None:
            bucket = self._addresses[address] = Bucket(float(burst), now)
            if len(self._addresses) > KNOWN_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(address)
        spared = bucket.take(now, rate, burst) and self._all.take(now, rate * share, burst * share)
        if not spared:
            self._tell(address, now)
        return spared

    def _tell(self, address: str, now: float) -> None:
        if now - self._told >= TELL_EVERY:
            self._told = now
            logger.warning("calls without a known token come too often, now from %s; they are held back", address)


def address_of(peer: str) -> str:
    """The address in what gRPC calls a peer, such as ``ipv6:%5B::1%5D:4711``; of IPv6 its network."""
    kind, _, rest = unquote(peer).partition(":")
    text = rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer
    try:
        found = ipaddress.ip_address(text)
    except ValueError:  # a Unix socket, or nothing that we know
        return text
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, NETWORK), strict=False))
    return str(found)
