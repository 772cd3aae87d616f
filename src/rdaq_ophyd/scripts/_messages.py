"""Messages of a script's plan as the engine's own, and what its responses hold as what can travel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bluesky import Msg
from bluesky.protocols import Status

from rdaq_ophyd.errors import LimitError, ScriptFailed

from ._stand_in import StandIn, stand_in
from ._table import Table
from ._vocabulary import COMMANDS_LOCAL, REFUSED

if TYPE_CHECKING:
    from ._talk import Talk

MOST_LOCAL = 10_000
"""Devices that one script may make itself."""
MOST_AWAITED = 1000
"""Awaitables in one message."""


class Messages:
    """Both ways.

    :param talk: with the script's process.
    :param table: devices that it may name.
    """

    def __init__(self, talk: Talk, table: Table) -> None:
        self._talk, self._table = talk, table
        self._local: dict[int, StandIn] = {}

    def decode(self, content: Any) -> Msg:
        """A message.

        :raises LimitError: it is none.
        """
        command, obj, args, kwargs, run = self._talk.codec.decode(content)
        if not isinstance(command, str) or not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
            raise LimitError("no message")
        if command in REFUSED or (isinstance(obj, StandIn) and command not in COMMANDS_LOCAL):
            raise LimitError(f"{command} is not for scripts")
        if command == "wait_for":
            (number,) = args
            args = [self._awaited(int(number))]
        elif command == "subscribe":
            number, *rest = args
            args = [_Callback(self._talk, int(number)), *rest]
        return Msg(command, obj, *args, run=run, **kwargs)

    def _awaited(self, number: int) -> list[Callable[[], Any]]:
        """What the engine awaits: that the process has awaited all of it."""
        if not 0 <= number <= MOST_AWAITED:
            raise LimitError(f"{number} awaitables in one message", hint=f"{MOST_AWAITED} at most")
        under_way: list[asyncio.Task[Any]] = []

        async def done() -> None:
            if not under_way or under_way[0].done():
                under_way[:] = [asyncio.ensure_future(self._talk.call(awaited=True))]
                under_way[0].add_done_callback(_looked_at)
            with contextlib.suppress(ScriptFailed):  # the plan's next step tells
                await asyncio.shield(under_way[0])

        return [done] * number

    def inside(self, tag: str, content: Any) -> Any:
        """A device, a status, or something that the script made."""
        match tag:
            case "$device":
                return self._table[content]
            case "$status":
                return self._talk.statuses[content]
            case "$local":
                return self._stand_in(*content)
        raise LimitError(f"{tag} is not known")

    def _stand_in(self, number: int, name: str, methods: list[str], hints: Any) -> StandIn:
        if number not in self._local:
            if len(self._local) >= MOST_LOCAL:
                raise LimitError(f"more than {MOST_LOCAL} devices made in a script")

            async def call(method: str, args: list[Any]) -> Any:
                codec = self._talk.codec
                return await self._talk.call(local=number, method=method, args=codec.encode(args))

            self._local[int(number)] = stand_in(str(name), methods, self._talk.codec.decode(hints), call)
        return self._local[number]

    def outside(self, value: Any, thrown: Callable[[BaseException], Any]) -> Any:
        """The same, the other way; what has no meaning in the script travels as its name."""
        name = self._table.name_of(value)
        if name is not None:
            return {"$device": name}
        if isinstance(value, BaseException):
            return {"$exception": thrown(value)}
        if isinstance(value, Status):
            return self._talk.statuses.give(value)
        if isinstance(value, StandIn):
            return {"$mine": next((n for n, known in self._local.items() if known is value), -1)}
        if hasattr(value, "set") and not isinstance(value, type):
            return {"$kept": self._table.keep(value)}
        return {"$opaque": repr(value)[:200]}


def _looked_at(task: asyncio.Task[Any]) -> None:
    """The engine may have left it."""
    if not task.cancelled():
        task.exception()


class _Callback:
    """A callback of the plan, as the engine calls it."""

    def __init__(self, talk: Talk, number: int) -> None:
        self._talk, self._number = talk, number

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        self._talk.document(self._number, name, document)
