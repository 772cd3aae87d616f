"""How much a server takes: calls and streams at a time, calls a second, the size of a request. A stop always passes."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

from rdaq_ophyd.errors import LimitError, TooMuch, UnknownName

UNLIMITED = frozenset({"StopAll"})
"""Calls that are never counted, against anybody: however many there are, they keep nobody out."""
KNOWN_CLIENTS = 1024
"""Clients that are remembered; those without a call under way are forgotten, the longest silent first."""
RECENT = 30.0
"""Seconds after its last call in which a client counts as one."""
RESERVE = 32
"""Calls of one connection for which gRPC keeps room beyond those that are served: stops, and those that are refused."""


@dataclass(frozen=True)
class Limits:
    """What one server takes. A client is who shows a token; without tokens each connection is one.

    :param request_bytes: of any request.
    :param plan_bytes: of the arguments and metadata of a plan.
    :param connections: to gRPC at a time; one more is closed at once.
    :param calls: under way at a time, streams included.
    :param streams: the same for streams alone: whoever streams must leave room for those who ask.
    :param client_calls: of one client, streams included.
    :param client_streams: of one client.
    :param client_rate: calls a second of one client, on the long run.
    :param client_burst: calls that a client may make at once, having been quiet.
    :param refused_rate: calls a second without a known token that are answered in words, by address.
    :param refused_burst: of those at once, from an address that has been quiet.
    :param refused_share: both for all addresses together, as a multiple of one.
    :raises LimitError: one is below 1, or not finite.
    """

    request_bytes: int = 3 << 19
    plan_bytes: int = 256 << 10
    connections: int = 256
    calls: int = 200
    streams: int = 150
    client_calls: int = 100
    client_streams: int = 50
    client_rate: float = 1000.0
    client_burst: int = 2000
    refused_rate: float = 5.0
    refused_burst: int = 20
    refused_share: int = 10

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (math.isfinite(value) and 1 <= value < 1 << 31):
                raise LimitError(f"limit {each.name} = {value}", hint="give 1 or more, below 2 to the power of 31")

    def changed(self, words: Iterable[str]) -> Limits:
        """Others, from ``name=value`` as on a command line.

        :raises UnknownName: there is no such limit.
        :raises LimitError: that is no number, or too small or large a one.
        """
        known = {each.name: type(getattr(self, each.name)) for each in fields(self)}
        given: dict[str, float] = {}
        for word in words:
            name, _, text = word.partition("=")
            if name not in known:
                raise UnknownName.among("limit", name, known)
            try:
                given[name] = known[name](text)
            except ValueError:
                raise LimitError(f"limit {word!r}", hint=f"write {name}=NUMBER") from None
        return replace(self, **given)  # type: ignore[arg-type] # each of its own type, as above


@dataclass
class _Client:
    tokens: float
    refilled: float
    under_way: int = 0
    streams: int = 0
    last: float = field(default=0.0)


class Gate:
    """Lets calls in while there is room for them; on the server's loop alone.

    :param limits: how much room there is.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._calls = self._streams = 0

    def clients(self) -> int:
        """Who has a call under way, or had one in the last 30 s. From any thread."""
        since = time.monotonic() - RECENT
        return sum(client.under_way > 0 or client.last > since for client in list(self._clients.values()))

    @contextmanager
    def admitted(self, who: str, call: str, *, stream: bool) -> Iterator[None]:
        """Room for one call while the block runs.

        :raises TooMuch: there is none, or this client calls too often.
        """
        client = self._known(who)
        if call in UNLIMITED:
            yield
            return
        self._check(client, call, stream=stream)
        self._count(client, 1, stream=stream)
        try:
            yield
        finally:
            self._count(client, -1, stream=stream)
            client.last = time.monotonic()

    def check_size(self, call: str, size: int) -> None:
        """Refuse a plan that is begun with too much.

        :raises LimitError: names both sizes.
        """
        if call == "RunPlan" and size > self.limits.plan_bytes:
            raise LimitError(
                f"{size} bytes of arguments and metadata", hint=f"at most {self.limits.plan_bytes} (plan_bytes)"
            )

    def _known(self, who: str) -> _Client:
        now = time.monotonic()
        client = self._clients.get(who)
        if client is None:
            client = self._clients[who] = _Client(float(self.limits.client_burst), now)
            if len(self._clients) > KNOWN_CLIENTS:
                idle = next((name for name, other in self._clients.items() if not other.under_way), who)
                del self._clients[idle]
        elif who in self._clients:
            self._clients.move_to_end(who)
        client.last = now
        return client

    def _check(self, client: _Client, call: str, *, stream: bool) -> None:
        limits, now = self.limits, time.monotonic()
        client.tokens = min(limits.client_burst, client.tokens + (now - client.refilled) * limits.client_rate)
        client.refilled = now
        if client.tokens < 1:
            raise TooMuch(
                f"{call}: more than {limits.client_rate:g} calls a second (client_rate)",
                hint="ask less often; use a stream",
            )
        client.tokens -= 1
        if self._calls >= limits.calls:
            raise TooMuch(f"{call}: {self._calls} calls are under way (calls)", hint="try again in a moment")
        if client.under_way >= limits.client_calls:
            what = f"{call}: {client.under_way} calls of yours are under way (client_calls)"
            raise TooMuch(what, hint="wait for one to end")
        if stream and self._streams >= limits.streams:
            raise TooMuch(f"{call}: {self._streams} streams are open (streams)", hint="close one")
        if stream and client.streams >= limits.client_streams:
            raise TooMuch(f"{call}: {client.streams} streams of yours are open (client_streams)", hint="close one")

    def _count(self, client: _Client, number: int, *, stream: bool) -> None:
        self._calls += number
        client.under_way += number
        if stream:
            self._streams += number
            client.streams += number
