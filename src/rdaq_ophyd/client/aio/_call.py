"""Calls on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from rdaq_ophyd.client import _ask
from rdaq_ophyd.client._ask import Ask
from rdaq_ophyd.client._backoff import Backoff
from rdaq_ophyd.client._call import LOOKS, LOOKS_AGAIN, CallFacts, told
from rdaq_ophyd.errors import ServerGone


class AsyncCalls(CallFacts):
    """The calls of a stub, each with the caller's token, and errors in words.

    :param stub: of the service, on a channel of ``grpc.aio``.
    :ivar channel: for calls whose messages are not to be copied.
    :ivar renew: asks what devices there are, after the server was started anew.
    """

    def __init__(self, stub: Any, address: str, token: str | None, *, channel: Any, patience: float) -> None:
        super().__init__(address, token, patience)
        self._stub, self.channel = stub, channel
        self.over = asyncio.Event()
        self.renew: Callable[[], Awaitable[object]] | None = None

    async def do[T](self, ask: Ask[T], *, timeout: float | None = None) -> T:
        """Ask, and read the answer; again where it only looks.

        :param timeout: seconds; None waits for as long as the other side takes.
        :raises ServerGone: what was asked for may have been done, where it was to change something.
        """
        tries = Backoff(LOOKS_AGAIN)
        while True:
            try:
                if self.broken and not ask.at_once:
                    await self.met_again((await self.ask("GetState", _ask.state().request, timeout=LOOKS)).instance)
                return ask.read(await self.ask(ask.call, ask.request, timeout=timeout))
            except ServerGone:
                self.broken = True
                wait = tries.failed() if ask.again else None
                if wait is None or self.over.is_set():
                    raise
                await asyncio.sleep(wait)

    async def met_again(self, instance: str) -> None:
        """Such a server answered; of another one, ask what devices it has."""
        self.met(instance)
        if self.renewed and self.renew is not None:
            self.renewed = False
            await self.renew()

    async def ask(self, call: str, request: Any, *, timeout: float | None) -> Any:
        """One answer; whoever is cancelled cancels the call."""
        self.check_open()
        with told(self.address):
            return await getattr(self._stub, call)(request, timeout=timeout, metadata=self.metadata)

    def open(self, call: str, request: Any) -> Any:
        """A call with many answers."""
        self.check_open()
        return getattr(self._stub, call)(request, metadata=self.metadata)

    def check_open(self) -> None:
        """Whether the client still has its connection.

        :raises ServerGone: it was closed.
        """
        if self.over.is_set():
            raise ServerGone(f"{self.address}: this client was closed", hint="connect anew")

    async def follow(self, call: str, request: Any) -> AsyncIterator[Any]:
        """The answers of one call; whoever leaves ends it."""
        opened = self.open(call, request)
        try:
            with told(self.address):
                async for message in opened:
                    yield message
        finally:
            opened.cancel()
