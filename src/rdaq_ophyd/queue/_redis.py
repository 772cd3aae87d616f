"""Where queue and history are kept: a Redis server that is there, else a substitute in this process with a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rdaq_ophyd.errors import QueueError

__all__ = ["EMBEDDED", "redis_at"]
EMBEDDED = "embedded"
LOCAL = "127.0.0.1:6379"
"""Where a Redis of this machine listens unless told otherwise."""
PATIENCE = 2.0
"""Seconds that a server may take to answer."""


@contextmanager
def redis_at(wanted: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a Redis for queueserver, and where that is in words, while the block runs.

    :param wanted: ``host:port``, where needed with ``user:password@`` before and ``/number`` of a database behind it,
        or ``embedded``; None: ``$RDAQ_REDIS``, else the one of this machine where there is one, else embedded.
    :param folder: in which the embedded one keeps its file.
    :raises QueueError: the one that was asked for does not answer.
    """
    wanted = (wanted or os.environ.get("RDAQ_REDIS") or "").removeprefix("redis://")
    if wanted == EMBEDDED or (not wanted and _answer(LOCAL)):
        from ._embedded_redis import EmbeddedRedis

        with EmbeddedRedis(folder / "queue.json") as embedded:
            yield embedded.address, f"embedded, kept in {embedded.path}"
        return
    address = wanted or LOCAL
    if why := _answer(address):
        raise QueueError(
            f"no Redis answers at {_without_password(address)}: {why}",
            hint=f"start it, give another --redis HOST:PORT, or --redis {EMBEDDED}",
        )
    yield address, f"Redis at {_without_password(address)}"


def _answer(address: str) -> str:
    """Why there is no Redis at an address; empty when there is one."""
    import redis

    try:
        with redis.from_url(f"redis://{address}", socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def _without_password(address: str) -> str:
    return address.rpartition("@")[2]
