"""Rows that an earlier delivery left in the catalog, of tables and of arrays that lie in its own storage."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import pyarrow as pa
from tiled.client.utils import handle_error, retry_context
from tiled.utils import APACHE_ARROW_FILE_MIME_TYPE, safe_json_dump

from rdaq_ophyd.errors import CatalogError

# A pause rewinds a plan: the same number may come twice, with another time.
_OF_AN_EVENT = ("seq_num", "time")


class KeptTable:
    """A table of events that is there already.

    :param table: Tiled's client of it.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        named = [name for name in _OF_AN_EVENT if name in table.columns]
        self._columns = named if len(named) == len(_OF_AN_EVENT) else []
        self._told = 0
        if self._columns:
            self._there = Counter(self._read())
        else:
            # Of a table that was split for its many columns only one part has these. No row of the others tells its
            # event, so they are filled anew: a late append could not be told from what is missing.
            renumbered(table, table.structure())
            self._there = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def append_partition(self, partition: int, rows: pa.Table) -> None:
        """Append those of ``rows`` that are not there.

        :raises CatalogError: a value does not fit its column, which took its type from the first rows.
        """
        rows = self._fitting(rows)
        self._told += rows.num_rows
        missing = [not self._takes_off(event) for event in self._events(rows)]
        if any(missing):
            self._table.append_partition(partition, rows.filter(pa.array(missing)))

    def settle(self) -> None:
        """Make sure that each event of the documents is there once, when all were appended.

        :raises CatalogError: it is not; then the table is empty, and a further delivery fills it.
        """
        there = sum(1 for _ in self._read())
        if there == self._told:
            return
        renumbered(self._table, self._table.structure())
        raise CatalogError(
            f"the catalog had {there} rows of {'/'.join(self._table.path_parts)} for {self._told} events",
            hint="the next attempt writes the table anew: a request that was given up had been carried out late",
        )

    def _fitting(self, rows: pa.Table) -> pa.Table:
        """As the server casts them, which answers what does not fit with an error of its own, as if it were away."""
        schema = self._table.structure().arrow_schema_decoded
        if rows.column_names != schema.names:
            differ = sorted({*rows.column_names} ^ {*schema.names}) or ["their order"]
            raise self._unfit(f"its columns are others than those of the run: {', '.join(differ)}")
        for column, field in zip(rows.columns, schema, strict=True):
            try:
                column.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise self._unfit(f"its column {field.name} is of {field.type}: {error}") from error
        return rows.cast(schema)

    def _unfit(self, why: str) -> CatalogError:
        return CatalogError(
            f"rows do not fit the table {'/'.join(self._table.path_parts)} that the catalog has: {why}",
            hint="when the catalog's administrator has deleted the run, it is written whole",
        )

    def _takes_off(self, event: Hashable) -> bool:
        if not self._there[event]:
            return False
        self._there[event] -= 1
        return True

    def _read(self) -> Iterable[Hashable]:
        # Tiled's own client refuses columns that come in another order than they were asked for.
        options = {"column": self._columns or self._table.columns[:1], "format": APACHE_ARROW_FILE_MIME_TYPE}
        answer = handle_error(self._table.context.http_client.get(self._table.item["links"]["full"], params=options))
        return self._events(pa.ipc.open_file(answer.read()).read_all())

    def _events(self, rows: pa.Table) -> Iterable[Hashable]:
        if not self._columns:
            return [()] * rows.num_rows
        return zip(*(rows[name].to_pylist() for name in self._columns), strict=True)


class KeptArray:
    """An array of values of events: how many rows it has is what this delivery wrote, not what is there.

    :param array: Tiled's client of it.
    :param rows: written by this delivery.
    :param check: gives a new client of it; None for an array that was not there before.
    """

    def __init__(self, array: Any, rows: int, *, check: Callable[[], Any] | None = None) -> None:
        self._array, self._rows, self._check = array, rows, check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._array, name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what this delivery wrote."""
        return (self._rows, *self._array.shape[1:])

    def patch(self, array: Any, *, offset: tuple[int, ...], extend: bool) -> None:
        """Tiled's own."""
        self._array.patch(array, offset=offset, extend=extend)
        self._rows = offset[0] + len(array)

    def settle(self) -> None:
        """Make sure that it has as many rows as the documents, when all were written.

        :raises CatalogError: it has not.
        """
        if self._check is not None and (there := self._check().shape[0]) != self._rows:
            raise CatalogError(
                f"the catalog has {there} rows of {'/'.join(self._array.path_parts)} for {self._rows} events",
                hint="they are written again with the next attempt",
            )


def renumbered(node: Any, structure: Any) -> None:
    """Have a part's rows kept under a number that nobody used: what is there, or still on its way, is seen no more.

    Tiled keeps the rows of all tables of one kind in one table of its database, and tells them apart by a number, which
    it counts up from 1. A negative one by chance is free.

    :param node: Tiled's client of a table or a ragged array.
    :param structure: what it has from now on.
    """
    (source,) = node.data_sources()
    source.structure = structure
    source.parameters = {**source.parameters, "dataset_id": -1 - secrets.randbelow(2**31 - 1)}
    for attempt in retry_context():
        with attempt:
            handle_error(
                node.context.http_client.put(
                    node.uri.replace("/metadata/", "/data_source/", 1),
                    content=safe_json_dump({"data_source": source}),
                )
            )
