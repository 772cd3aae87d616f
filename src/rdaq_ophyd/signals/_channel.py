"""Texts to and from one device on a link: address filled in, protocol applied, replies checked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from rdaq_ophyd.errors import BadReply, LinkClosed, RdaqError
from rdaq_ophyd.link import Framing, Lane, Link

from ._protocol import LineProtocol

logger = logging.getLogger(__name__)


class WriteChecker(NamedTuple):
    """How to find out whether the instrument took a command.

    :param question: asked in one piece with the command; empty where each command has a reply of its own.
    :param verify: given the reply and the command: raises if the instrument complained.
    :param unheard: given the same, from any thread, when whoever sent the command was cancelled meanwhile.
    """

    question: str
    verify: Callable[[str, str], Awaitable[None]]
    unheard: Callable[[str, str], None]


class Channel:
    """What a device and its signals use to talk: ``await channel.ask("{axis}TP?")``.

    :param url: of the link, for sources and messages.
    :param protocol: the instrument's.
    :param fields: what the places in the texts are filled with, e.g. ``{"axis": 1}``.
    :ivar who: the device, for the link: those on one port take turns; ``axis 1``, or None where it has no address.
    """

    def __init__(self, url: str, protocol: LineProtocol, fields: Mapping[str, Any]) -> None:
        self.url = url
        self.protocol = protocol
        self.fields = dict(fields)
        self.who = ", ".join(f"{field} {value}" for field, value in self.fields.items()) or None
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
        """The command that ``template`` becomes for this device.

        :raises LimitError: a text among the values is no part of one command.
        """
        return self.filled(self.url, template, values)

    def filled(self, name: str, template: str, values: Mapping[str, Any]) -> str:
        """The same, for the signal or command ``name``."""
        for what, value in values.items():
            if isinstance(value, str):
                self.protocol.check_part(name if what == "value" else f"{name} ({what})", value)
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
        share: bool = False,
        **values: Any,
    ) -> T:
        """Ask a question and read the reply with ``parse``.

        :param name: of the signal or command, for the error.
        :param share: it changes nothing, so that all who ask the same before it is sent may have its answer.
        :raises BadReply: ``parse`` refused the reply with a ValueError that says what it expected.
        """
        command = self.text(template, **values)
        reply = await self.exchange(command, lane=lane, timeout=timeout, safe=True, share=share)
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
        share: bool = False,
        unheard: Callable[[str], None] | None = None,
    ) -> str:
        """Send commands in one piece, of which only the last has a reply, and wait for that.

        :param safe: allowed while everything is stopped.
        :param share: a question that changes nothing; see ``value``.
        :param unheard: given the reply when the caller was cancelled after the commands went out; from any thread.
            For replies that an instrument gives once only.
        """
        protocol, link = self.protocol, self.link
        future = link.submit(
            protocol.encode(*commands),
            reply=reply or protocol.framing(commands[-1]),
            lane=lane,
            timeout=protocol.timeout if timeout is None else timeout,
            safe=safe,
            who=self.who,
            share=share,
        )
        try:
            answer = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if unheard is not None:
                future.add_done_callback(lambda done: self._overhear(done, commands[-1], unheard))
            raise
        return self._text(answer, commands[-1])

    async def answered(
        self,
        name: str,
        command: str,
        read: Callable[[str], Any],
        *,
        lane: Lane = Lane.NORMAL,
        timeout: float | None = None,
        safe: bool = False,
    ) -> None:
        """Send a command that the instrument answers, and read the answer with ``read``.

        :param name: of the signal or command, for the error.
        :raises BadReply: ``read`` refused the answer with a ValueError that says what it expected.
        """
        reply = await self.exchange(command, lane=lane, timeout=timeout, safe=safe)
        try:
            read(reply)
        except ValueError as error:
            raise BadReply(
                f"{name}: {self.url} answered {reply!r} to {command!r}; expected {error}",
                hint="whether the instrument took it is not known: read it back",
            ) from error

    async def checked(self, command: str, check: WriteChecker, *, lane: Lane = Lane.NORMAL, safe: bool = False) -> None:
        """Send a command and, in one piece with it, the question whether the instrument took it.

        Without a question the command itself is answered.

        :raises InstrumentError: it did not.
        """
        question = [self.text(check.question)] if check.question else []
        reply = await self.exchange(
            command, *question, lane=lane, safe=safe, unheard=lambda said: check.unheard(said, command)
        )
        await check.verify(reply, command)

    def _overhear(self, done: Future[bytes], question: str, unheard: Callable[[str], None]) -> None:
        if done.cancelled() or done.exception() is not None:
            return  # it was never sent, or there was no reply
        try:
            unheard(self._text(done.result(), question))
        except RdaqError as error:
            logger.warning("%s: an answer that nobody waited for any more: %s", self.url, error)

    def _text(self, answer: bytes, question: str) -> str:
        try:
            return self.protocol.decode(answer, question)
        except BadReply:
            self.link.resync()
            raise

    async def tell(self, template: str, *, lane: Lane = Lane.NORMAL, safe: bool = False, **values: Any) -> None:
        """Send a command that has no reply; returns when it is written."""
        await self.link.tell(self.protocol.encode(self.text(template, **values)), lane=lane, safe=safe, who=self.who)

    def preempt(self, template: str, **values: Any) -> None:
        """Write a command without reply now, past everything that waits; from any thread."""
        self.link.preempt_promptly(self.protocol.encode(self.text(template, **values)))

    async def settle(self, seconds: float) -> None:
        """Wait until the instrument has taken a setting."""
        if seconds > 0:
            await asyncio.sleep(seconds)
