"""Calls, counted by the server that takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from ._families import call_seconds, counter, gauge


@dataclass
class CountedCall:
    """One call under way.

    :ivar code: gRPC's status code; whoever makes the call sets it when it ends by itself.
    """

    code: str = "CANCELLED"
    messages: int = 0
    bytes: int = 0

    def sent(self, size: int) -> None:
        """A message of so many bytes went out."""
        self.messages += 1
        self.bytes += size


class CallMetrics:
    """Counts the calls of one server.

    :ivar registry: what is scraped of them.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = counter("rdaq_grpc_calls_total", self.registry)
        self._seconds = call_seconds("rdaq_grpc_call_seconds", self.registry)
        self._under_way = gauge("rdaq_grpc_calls_in_progress", self.registry)
        self._messages = counter("rdaq_grpc_sent_messages_total", self.registry)
        self._bytes = counter("rdaq_grpc_sent_bytes_total", self.registry)
        self._clients = gauge("rdaq_grpc_clients", self.registry)
        self._throttled = counter("rdaq_throttled_refusals_total", self.registry)

    def count_clients(self, count: Callable[[], int]) -> None:
        """Ask ``count`` how many clients there are."""
        self._clients.set_function(count)

    @contextmanager
    def call(self, method: str, *, timed: bool) -> Iterator[CountedCall]:
        """Count a call for as long as the block runs.

        :param method: its name; only names that the service has, so that labels stay few.
        :param timed: it has one answer, so that its time tells something.
        """
        under_way, began, counted = self._under_way.labels(method), time.perf_counter(), CountedCall()
        under_way.inc()
        try:
            yield counted
        finally:
            under_way.dec()
            self._calls.labels(method, counted.code).inc()
            if timed:
                self._seconds.labels(method).observe(time.perf_counter() - began)
            if counted.messages:
                self._messages.labels(method).inc(counted.messages)
                self._bytes.labels(method).inc(counted.bytes)

    def refused(self, method: str, code: str) -> None:
        """Count a call that was not let in."""
        self._calls.labels(method, code).inc()

    def throttled(self, door: str) -> None:
        """Count a call without a known token that was one too many, by ``grpc`` or the ``page``."""
        self._throttled.labels(door).inc()
