"""A Redis of our own for a queue of one machine: fakeredis behind a TCP port, with a file that survives it."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import redis
from fakeredis import TcpFakeServer

from rdaq_ophyd.errors import QueueError

__all__ = ["EmbeddedRedis"]
logger = logging.getLogger(__name__)
FORMAT = 1
SAVE_EVERY = 0.5
"""Seconds between two looks at what changed: what a crash of this process loses at most."""
SERVER_VERSION = (7, 0)
"""Of Redis, as it tells its clients; what Debian 12 has."""

type Kept = dict[str, str | list[str]]


class EmbeddedRedis:
    """Strings and lists, which is all that queueserver uses, on a free port of 127.0.0.1, kept in a JSON file.

    :param path: the file; it bears a format version.
    :raises QueueError: the file is none of this version, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        kept = _load(path)
        self._server = TcpFakeServer(("127.0.0.1", 0), server_version=SERVER_VERSION)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="redis", daemon=True)
        self._serving.start()
        self._client = redis.from_url(f"redis://{self.address}", decode_responses=True)
        self._saved: Kept = {}
        self._restore(kept)
        self._closing = threading.Event()
        self._saving = threading.Thread(target=self._save_on, name="redis-file", daemon=True)
        self._saving.start()

    def _restore(self, kept: Kept) -> None:
        for key, value in kept.items():
            if isinstance(value, str):
                self._client.set(key, value)
            elif value:
                self._client.rpush(key, *value)
        self._saved = kept

    def _save_on(self) -> None:
        while not self._closing.wait(SAVE_EVERY):
            self._save()

    def _save(self) -> None:
        try:
            if (kept := self._kept()) != self._saved:
                _write(self.path, kept)
                self._saved = kept
        except (OSError, redis.RedisError) as error:  # a full disk: the queue goes on, and is written when it can be
            logger.error("%s: the queue was not saved: %s", self.path, error)

    def _kept(self) -> Kept:
        return {str(key): self._value(str(key)) for key in sorted(self._client.keys())}

    def _value(self, key: str) -> Any:
        return self._client.lrange(key, 0, -1) if self._client.type(key) == "list" else self._client.get(key) or ""

    def close(self) -> None:
        """Save, and end. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._saving.join(10)
        self._save()
        self._client.close()
        self._server.shutdown()
        self._server.server_close()
        self._serving.join(10)

    def __enter__(self) -> EmbeddedRedis:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _load(path: Path) -> Kept:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise QueueError(f"{path}: not the file of a queue: {error}", hint="mend it, or move it away") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != FORMAT:
        raise QueueError(f"{path}: format {version}, this program knows {FORMAT}", hint="move it away")
    kept: Kept = content["keys"]
    return kept


def _write(path: Path, kept: Kept) -> None:
    """All of it or nothing: whoever reads it never finds half of it."""
    fresh = path.with_suffix(f".{os.getpid()}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"version": FORMAT, "keys": kept}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
