"""Both set-ups behind one face: where rigs write, where readers ask, which processes serve, what may be killed."""

from __future__ import annotations

import os
import secrets
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks._facility._databases import Databases, PostgresDatabases, SqliteDatabases
from benchmarks._facility._http import Asking, until
from benchmarks._facility._rigs import Delivery, Rig, RigApart, RigHere
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.catalog._layout import DataLayout, data_layout

NETWORK = "the network of one rig"
START = 120.0
"""Seconds for servers to come up again."""


@dataclass(frozen=True)
class Kill:
    """Something that may end in the middle of everything.

    :param what: in words.
    :param kill: ends it.
    :param mend: starts it again; returns when it is up.
    """

    what: str
    kill: Callable[[], object]
    mend: Callable[[], object]


class SetUp(ABC):
    """One of both.

    :ivar name: in words.
    :ivar databases: what its runs, tables and structures are kept in.
    :ivar layouts: data directory of each rig, by its name.
    """

    name: str
    databases: Databases

    def __init__(self, *, apart: bool) -> None:
        self._apart = apart
        self._mark = secrets.token_hex(3)
        self.layouts: dict[str, DataLayout] = {}

    @property
    @abstractmethod
    def uri(self) -> str:
        """Of Tiled's API."""

    @property
    @abstractmethod
    def reading_key(self) -> str:
        """A reader's key."""

    @abstractmethod
    def root(self, number: int, name: str) -> Path:
        """Make the data directory of a rig."""

    @abstractmethod
    def servers(self) -> dict[str, list[psutil.Process]]:
        """The processes that serve, by what they are."""

    @abstractmethod
    def kills(self) -> list[Kill]:
        """What may be killed."""

    def told_bytes(self) -> int:
        """Bytes that the cache for subscribers holds, where it is a server of its own."""
        return 0

    def asking(self) -> Asking:
        """A reader."""
        return Asking(self.uri, self.reading_key)

    @contextmanager
    def rigs(self, count: int) -> Iterator[list[Rig]]:
        """So many rigs, ready to record."""
        kind = RigApart if self._apart else RigHere
        with ExitStack() as stack:
            made: list[Rig] = []
            for number in range(count):
                name = f"rig{number}-{self._mark}"
                self.layouts[name] = data_layout(self.root(number, name))
                made.append(kind(self.layouts[name].root, name))
                stack.callback(made[-1].close)
            yield made


class Embedded(SetUp):
    """The catalog that a rig has by itself. Several rigs are several sessions of one data directory: one worker."""

    name = "embedded"

    def __init__(self, folder: Path, *, apart: bool = True) -> None:
        super().__init__(apart=apart)
        self._catalog = EmbeddedCatalog(folder, profile=None)
        self._delivery: Delivery | None = None
        self.databases = SqliteDatabases(self._catalog.layout.catalog)

    def start(self) -> None:
        """Start Tiled and the worker."""
        if not self._apart:
            self._delivery = Delivery(self._catalog.layout)
        self._catalog.ready(START)

    def close(self) -> None:
        """End both."""
        if self._delivery is not None:
            self._delivery.end()
        self._catalog.close()

    @property
    def uri(self) -> str:
        """As in :class:`SetUp`."""
        return self._catalog.uri

    @property
    def reading_key(self) -> str:
        """As in :class:`SetUp`."""
        return str(self._catalog.api_key)

    def root(self, number: int, name: str) -> Path:  # noqa: ARG002  one for all
        """As in :class:`SetUp`."""
        return self._catalog.layout.root

    def servers(self) -> dict[str, list[psutil.Process]]:
        """As in :class:`SetUp`."""
        found = {"Tiled": _processes([self._catalog.server_pid])}
        return found | ({"worker": workers} if (workers := _processes([self._catalog.worker_pid])) else {})

    def kills(self) -> list[Kill]:
        """As in :class:`SetUp`."""
        # Whoever is killed is started again by the session.
        return [Kill("Tiled", self._kill_server, lambda: self._catalog.ready(START))]

    def _kill_server(self) -> None:
        os.kill(self._catalog.server_pid or 0, signal.SIGKILL)
        until(lambda: not self._catalog.serving, START, "the end of the server")


class Scaled(SetUp):
    """Tiled on PostgreSQL and Redis, several worker processes; each rig has a data directory and a worker of its own.

    :param lab: the servers, running; see ``tests/lib/scaled.py``.
    :param folder: for the data directories of the rigs.
    :param network: a proxy before Tiled, through which the first rig goes.
    """

    name = "scaled"

    def __init__(self, lab: Any, folder: Path, network: Any, *, apart: bool = True) -> None:
        super().__init__(apart=apart)
        from scaled import READER, WRITER

        self.lab, self._folder = lab, folder
        self._keys = (lab.key("rdaq-writer", WRITER), lab.key("rdaq-reader", READER))
        self._network = network
        self.databases = PostgresDatabases(lab.postgres)

    @property
    def uri(self) -> str:
        """As in :class:`SetUp`."""
        return str(self.lab.tiled.uri)

    @property
    def reading_key(self) -> str:
        """As in :class:`SetUp`."""
        return self._keys[1]

    def root(self, number: int, name: str) -> Path:
        """As in :class:`SetUp`; the network of the first can be cut."""
        from sharingrigs import Directory

        far = self.uri.replace(f"127.0.0.1:{self.lab.tiled.port}", self._network.address)
        return Path(Directory(self.lab, self._folder / name, name, keys=self._keys, uri="" if number else far).root)

    def servers(self) -> dict[str, list[psutil.Process]]:
        """As in :class:`SetUp`."""
        lab = self.lab
        postgres = psutil.Process(lab.postgres.process.pid)
        return {
            "Tiled": _processes([lab.tiled.process.pid, *lab.tiled.pids()]),
            "PostgreSQL": [postgres, *postgres.children(recursive=True)],
            "Redis": _processes([lab.redis.process.pid]),
        }

    def told_bytes(self) -> int:
        """As in :class:`SetUp`."""
        import redis

        with redis.Redis.from_url(self.lab.redis.uri) as server:
            return int(server.info("memory")["used_memory"])

    def kills(self) -> list[Kill]:
        """As in :class:`SetUp`."""
        lab = self.lab
        return [
            Kill("PostgreSQL", lab.postgres.kill, lab.postgres.start),
            Kill("Redis", lab.redis.kill, lab.redis.start),
            Kill("a Tiled worker", self._kill_a_worker, self._all_workers),
            Kill(NETWORK, self._network.cut, self._network.mend),
        ]

    def _kill_a_worker(self) -> None:
        os.kill(self.lab.tiled.pids()[0], signal.SIGKILL)

    def _all_workers(self) -> None:
        until(lambda: len(self.lab.tiled.pids()) == self.lab.tiled.workers, START, "the worker")


@contextmanager
def embedded(folder: Path, *, apart: bool = True) -> Iterator[Embedded]:
    """The one, running."""
    made = Embedded(folder, apart=apart)
    try:
        made.start()
        yield made
    finally:
        made.close()


@contextmanager
def shared(lab: Any, folder: Path, *, apart: bool = True) -> Iterator[Scaled]:
    """The other, on a lab that runs."""
    from cutproxy import CutProxy

    with CutProxy(f"127.0.0.1:{lab.tiled.port}") as network:
        yield Scaled(lab, folder, network, apart=apart)


def _processes(pids: Iterable[int | None]) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in pids if pid is not None and psutil.pid_exists(pid)]
