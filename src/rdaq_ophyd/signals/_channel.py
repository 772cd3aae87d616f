"""Texts to and from one device on a link: address filled in, protocol applied, replies checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rdaq_ophyd.errors import BadReply, LinkClosed
from rdaq_ophyd.link import Framing, Lane, Link

from ._protocol import LineProtocol


class Channel:
    """What a device and its signals use to talk: ``await channel.ask("{axis}TP?")``.

    :param url: of the link, for sources and messages.
    :param protocol: the instrument's.
    :param fields: what the places in the texts are filled with, e.g. ``{"axis": 1}``.
    """

    def __init__(self, url: str, protocol: LineProtocol, fields: Mapping[str, Any]) -> None:
        self.url = url
        self.protocol = protocol
        self.fields = dict(fields)
        self._link: Link | None = None

    @property
    def link(self) -> Link:
        """The open link.

        :raises LinkClosed: the device is not connected.
        """
        if self._link is None:
            raise LinkClosed(f"{self.url}: the device is not connected", hint="connect it first")
        return self._link

    def attach(self, link: Link | None) -> None:
        """Use ``link`` from now on; None: the device is not connected any more."""
        self._link = link

    def text(self, template: str, **values: Any) -> str:
        """The command that ``template`` becomes for this device."""
        return template.format(**self.fields, **values)

    async def ask(
        self,
        template: str,
        *,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        reply: Framing | None = None,
        **values: Any,
    ) -> str:
        """Ask a question; the reply as text.

        :raises ReplyTimeout: the instrument did not answer in time.
        :raises BadReply: the answer is no text.
        """
        return await self.exchange(self.text(template, **values), lane=lane, timeout=timeout, reply=reply, safe=True)

    async def value[T](
        self,
        name: str,
        template: str,
        parse: Callable[[str], T],
        *,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        **values: Any,
    ) -> T:
        """Ask a question and read the reply with ``parse``.

        :param name: of the signal or command, for the error.
        :raises BadReply: ``parse`` refused the reply with a ValueError that says what it expected.
        """
        command = self.text(template, **values)
        reply = await self.exchange(command, lane=lane, timeout=timeout, safe=True)
        try:
            return parse(reply)
        except ValueError as error:
            self.link.resync()
            raise BadReply(
                f"{name}: {self.url} answered {reply!r} to {command!r}; expected {error}",
                hint="is this the right instrument, and are its communication settings the manual's?",
            ) from error

    async def exchange(
        self,
        *commands: str,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        reply: Framing | None = None,
        safe: bool = False,
    ) -> str:
        """Send commands in one piece, of which only the last has a reply, and wait for that.

        :param safe: allowed while everything is stopped.
        """
        protocol, link = self.protocol, self.link
        answer = await link.ask(
            protocol.encode(*commands),
            reply=reply or protocol.reply,
            lane=lane,
            timeout=protocol.timeout if timeout is None else timeout,
            safe=safe,
        )
        try:
            return protocol.decode(answer, commands[-1])
        except BadReply:
            link.resync()
            raise

    async def tell(self, template: str, *, lane: Lane = Lane.NORMAL, safe: bool = False, **values: Any) -> None:
        """Send a command that has no reply; returns when it is written."""
        await self.link.tell(self.protocol.encode(self.text(template, **values)), lane=lane, safe=safe)

    def preempt(self, template: str, **values: Any) -> None:
        """Write a command without reply now, past everything that waits; from any thread."""
        self.link.preempt(self.protocol.encode(self.text(template, **values)))

    async def settle(self, seconds: float) -> None:
        """Wait until the instrument has taken a setting."""
        if seconds > 0:
            await asyncio.sleep(seconds)
