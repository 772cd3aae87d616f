"""Devices that a script made itself, such as the findings of a plan, as the rig's engine sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from bluesky.utils import NoReplayAllowed

from ._vocabulary import LOCAL

type Call = Callable[[str, list[Any]], Awaitable[Any]]
NO_REPLAY = "no replay"
"""What the script's process answers where its device's ``pause`` raises ``NoReplayAllowed``."""


class StandIn:
    """One of them: each method asks the script's process.

    :param name: of the device.
    :param hints: of it.
    """

    parent = None

    def __init__(self, name: str, hints: Mapping[str, Any]) -> None:
        self.name, self.hints = name, dict(hints)

    def __repr__(self) -> str:
        return f"<{self.name} of the script>"


def stand_in(name: str, methods: list[str], hints: Mapping[str, Any], call: Call) -> StandIn:
    """Make one that has these methods, and no others: Bluesky looks at what there is."""
    body = {method: _METHODS.get(method, _asking)(method, call) for method in methods if method in LOCAL}
    made: StandIn = type("StandIn", (StandIn,), body)(name, hints)
    return made


def _asking(method: str, call: Call) -> Any:
    async def ask(_self: StandIn, *args: Any) -> Any:
        return await call(method, list(args))

    return ask


def _listing(method: str, call: Call) -> Any:
    async def pages(_self: StandIn) -> AsyncIterator[Any]:
        for page in await call(method, []):
            yield page

    return pages


def _pausing(method: str, call: Call) -> Any:
    async def pause(_self: StandIn) -> None:
        if await call(method, []) == NO_REPLAY:
            raise NoReplayAllowed

    return pause


_METHODS = {"collect_pages": _listing, "collect": _listing, "pause": _pausing}
