"""The command backend over a link."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ophyd_async.core import CommandBackend

from ._annotations import Do, Tell
from ._channel import Channel, WriteChecker
from ._check import check_value
from ._parse import parser_for
from ._typed import typed

VOID = inspect.Signature([], return_annotation=None)


class LinkCommandBackend(CommandBackend[..., Any]):
    """A command on the other side of a link. The connector binds it."""

    def __init__(self, signature: inspect.Signature | None) -> None:
        if signature is not None and signature.return_annotation is type(None):
            # As ``Command[[float], None]`` is read by typing; ophyd-async's mocks know None alone.
            signature = signature.replace(return_annotation=None)
        super().__init__(signature or VOID)
        self.name = ""
        self._url = ""
        self._label = ""
        self._run: Callable[..., Awaitable[Any]] | None = None

    def bind_tell(self, tell: Tell, channel: Channel, check: WriteChecker | None) -> None:
        """Make it send ``tell``."""
        self._url, self._label = channel.url, tell.command
        result = self.signature.return_annotation if self.signature else None
        if result not in (None, type(None)):
            parse = parser_for(result)
            self._run = lambda *args: channel.value(self.name, tell.command, parse, lane=tell.lane, **_named(args))
        elif tell.preempt:
            self._run = lambda *args: self._preempt(tell, channel, _named(args))
        else:
            self._run = lambda *args: self._tell(tell, channel, check if tell.check else None, _named(args))

    def bind_do(self, do: Do, method: Callable[..., Awaitable[Any]], channel: Channel) -> None:
        """Make it call a method of the device."""
        self._url, self._label, self._run = channel.url, do.method.strip("_"), method

    def source(self, name: str) -> str:  # noqa: ARG002 - the interface's
        """Where the command goes, as recorded."""
        return f"link:{self._url}#{self._label}"

    async def connect(self, timeout: float) -> None:
        """Nothing to do: a command cannot be tried out."""

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Send the command; the parsed reply where it has one.

        :raises TypeError: wrong number of arguments.
        :raises LimitError: one of them is of another type, or a number that is not finite; nothing was sent.
        """
        if self._run is None:
            raise RuntimeError("a command over a link needs a Tell or a Do in its annotation")
        signature = self.signature or VOID
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            label = f"{self.name} ({name})"
            bound.arguments[name] = typed(label, value, signature.parameters[name].annotation)
            check_value(label, bound.arguments[name], None, None)
        return await self._run(*bound.args)

    @staticmethod
    async def _preempt(tell: Tell, channel: Channel, values: dict[str, Any]) -> None:
        channel.preempt(tell.command, **values)

    @staticmethod
    async def _tell(tell: Tell, channel: Channel, check: WriteChecker | None, values: dict[str, Any]) -> None:
        if check is None:
            await channel.tell(tell.command, lane=tell.lane, safe=tell.safe, **values)
            return
        await channel.checked(channel.text(tell.command, **values), check, lane=tell.lane, safe=tell.safe)


def _named(args: tuple[Any, ...]) -> dict[str, Any]:
    return {f"arg{i}": arg for i, arg in enumerate(args)}
