"""The databases below a Tiled, asked and filled directly: SQLite and PostgreSQL, where they differ."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_PATIENCE = 60.0


def bulk_uid(number: int) -> str:
    """Uid of a run that was filled in; both databases compute the same."""
    return str(uuid.UUID(hashlib.md5(f"run{number}".encode()).hexdigest()))


class Databases(ABC):
    """Two databases: of the catalog, and of the tables of events.

    :cvar numbers: makes the temporary table ``numbers (n, uid)`` out of ``{first}`` and ``{last}``.
    :cvar json_bytes: bytes that the expression ``{0}`` of type JSON takes where it is kept.
    """

    numbers: str
    json_bytes: str

    @abstractmethod
    def ask(self, sql: str, *, tables: bool = False) -> list[list[str]]:
        """The rows of an answer, as texts."""

    @abstractmethod
    def change(self, statements: Sequence[str], *, tables: bool = False) -> None:
        """Do all of it, in one transaction."""

    @abstractmethod
    def with_values(self, column: str, values: Mapping[str, str]) -> str:
        """An expression: JSON with some values replaced (dotted path -> expression)."""

    @abstractmethod
    def next_dataset(self, count: int) -> int:
        """Take so many numbers of tables; the first of them."""

    @abstractmethod
    def bytes(self) -> int:
        """Bytes of both."""

    @abstractmethod
    def settle(self) -> None:
        """Do at once what the engine does by itself after a while."""

    def structures(self) -> tuple[int, int]:
        """How many structures the catalog keeps, and their bytes."""
        size = self.json_bytes.format("structure")
        ((count, size),) = self.ask(f"SELECT count(*), coalesce(sum({size}), 0) FROM structures")
        return int(count), int(size)


class SqliteDatabases(Databases):
    """Files of the embedded catalog.

    :param folder: ``catalog/`` of the data directory.
    """

    numbers = (
        "CREATE TEMP TABLE numbers AS WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c "
        "WHERE n < {last}) SELECT n, bulk_uid(n) AS uid FROM c"
    )
    json_bytes = "length({0})"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _open(self, tables: bool) -> sqlite3.Connection:
        made = sqlite3.connect(self._folder / ("tables.db" if tables else "catalog.db"), timeout=_PATIENCE)
        made.create_function("bulk_uid", 1, bulk_uid, deterministic=True)
        return made

    def ask(self, sql: str, *, tables: bool = False) -> list[list[str]]:
        """As in :class:`Databases`."""
        with closing(self._open(tables)) as connection:
            return [["" if value is None else str(value) for value in row] for row in connection.execute(sql)]

    def change(self, statements: Sequence[str], *, tables: bool = False) -> None:
        """As in :class:`Databases`."""
        with closing(self._open(tables)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def with_values(self, column: str, values: Mapping[str, str]) -> str:
        """As in :class:`Databases`."""
        pairs = ", ".join(f"'$.{path}', {value}" for path, value in values.items())
        return f"json_set({column}, {pairs})"

    def next_dataset(self, count: int) -> int:
        """As in :class:`Databases`."""
        self.change([f"UPDATE _dataset_id_counter SET value = value + {count}"], tables=True)
        return int(self.ask("SELECT value FROM _dataset_id_counter", tables=True)[0][0]) - count + 1

    def bytes(self) -> int:
        """As in :class:`Databases`; what waits beside a file to be written into it counts too."""
        asked = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        return sum(int(self.ask(asked, tables=tables)[0][0]) for tables in (False, True))

    def settle(self) -> None:
        """What waits beside the files goes into them."""
        for tables in (False, True):
            self.ask("PRAGMA wal_checkpoint(TRUNCATE)", tables=tables)


class PostgresDatabases(Databases):
    """Of the shared catalog.

    :param server: ``scaled.Postgres``.
    """

    numbers = (
        "CREATE TEMP TABLE numbers AS SELECT n, md5('run' || n)::uuid::text AS uid "
        "FROM generate_series({first}, {last}) AS n"
    )
    json_bytes = "pg_column_size({0})"

    def __init__(self, server: Any) -> None:
        self._server = server

    def ask(self, sql: str, *, tables: bool = False) -> list[list[str]]:
        """As in :class:`Databases`."""
        answer = self._server.sql("rdaq_tables" if tables else "rdaq_catalog", "-F", "\x1f", "-c", sql)
        return [line.split("\x1f") for line in answer.splitlines()]

    def change(self, statements: Sequence[str], *, tables: bool = False) -> None:
        """As in :class:`Databases`."""
        where = self._server.uri("rdaq_tables" if tables else "rdaq_catalog")
        command = ["psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", where]
        subprocess.run(command, input=";\n".join(statements) + ";\n", text=True, check=True, timeout=600)

    def with_values(self, column: str, values: Mapping[str, str]) -> str:
        """As in :class:`Databases`."""
        for path, value in values.items():
            column = f"jsonb_set({column}, '{{{path.replace('.', ',')}}}', to_jsonb({value}))"
        return column

    def next_dataset(self, count: int) -> int:
        """As in :class:`Databases`."""
        asked = f"SELECT setval('_dataset_id_counter', nextval('_dataset_id_counter') + {count} - 1)"
        return int(self.ask(asked, tables=True)[0][0]) - count + 1

    def bytes(self) -> int:
        """As in :class:`Databases`."""
        ((size,),) = self.ask("SELECT pg_database_size('rdaq_catalog') + pg_database_size('rdaq_tables')")
        return int(size)

    def settle(self) -> None:
        """Statistics, as autovacuum makes them within a minute."""
        for tables in (False, True):
            self._server.sql("rdaq_tables" if tables else "rdaq_catalog", "-c", "VACUUM ANALYZE")
