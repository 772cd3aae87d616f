"""Which devices are on an Elliptec bus."""

from __future__ import annotations

import asyncio

from rdaq_ophyd.devices._ell14_info import Info
from rdaq_ophyd.devices._ell14_protocol import ADDRESSES, PROTOCOL, Answer
from rdaq_ophyd.errors import ReplyTimeout
from rdaq_ophyd.link import SerialSettings, acquire, release
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


async def scan(channel: Channel, addresses: str, known: str = "") -> dict[str, Info]:
    """What answers at ``addresses``.

    :param known: the address of a device that answers: it is asked after each silence, so that the link is not called
        mute because of empty addresses.
    """
    found = {}
    for address in addresses:
        if (info := await probe(channel, address)) is not None:
            found[address] = info
        elif known:
            await channel.exchange(f"{known}gp", safe=True)
    return found


async def discover(url: str, addresses: str = ADDRESSES, *, serial: SerialSettings | None = None) -> dict[str, Info]:
    """What answers on the bus at ``url``, by address, before anything is known of it; moves nothing.

    Takes 0.3 s for each address without a device.

    :param serial: line settings other than 9600 8N1.
    :raises LinkError: the port cannot be opened.
    """
    link, channel = acquire(url, serial or PROTOCOL.serial), Channel(url, PROTOCOL, {})
    try:
        await asyncio.to_thread(link.open)
        channel.attach(link)
        await channel.tell("", safe=True)
        return await scan(channel, addresses)
    finally:
        await asyncio.to_thread(release, link)
