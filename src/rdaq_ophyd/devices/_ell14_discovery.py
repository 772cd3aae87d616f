"""Which devices are on an Elliptec bus."""

from __future__ import annotations

from rdaq_ophyd.devices._ell14_info import Info
from rdaq_ophyd.devices._ell14_protocol import Answer
from rdaq_ophyd.errors import ReplyTimeout
from rdaq_ophyd.signals import Channel

PROBE_TIMEOUT = 0.15
"""Seconds that a device may take to say what it is: 40 ms on the wire, and its latency."""


async def probe(channel: Channel, address: str) -> Info | None:
    """What is at ``address``; None where nothing answers."""
    try:
        reply = await channel.exchange(f"{address}in", reply=Answer(address, "IN"), timeout=PROBE_TIMEOUT, safe=True)
    except ReplyTimeout:
        return None
    return Info.parse(reply)


async def discover(channel: Channel, addresses: str, known: str) -> dict[str, Info]:
    """What answers at ``addresses``.

    :param known: the address of a device that answers: it is asked after each silence, so that the link is not called
        mute because of empty addresses.
    """
    found = {}
    for address in addresses:
        if (info := await probe(channel, address)) is not None:
            found[address] = info
        else:
            await channel.exchange(f"{known}gp", safe=True)
    return found
