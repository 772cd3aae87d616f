"""Many runs in no time: copies of runs that the worker wrote, made in the databases themselves.

Through Tiled's API a run takes a dozen requests, ten thousand of them an hour. So whatever Tiled made of one real run
is copied row by row, with a uid, a scan number, a sample, a table and a file of its own; Tiled's triggers do the rest.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks._facility._databases import Databases, bulk_uid
from benchmarks._facility._recording import SAMPLES

BLOCK = 10_000
"""Runs a transaction."""
FIRST_SCAN = 1_000_000
"""Scan numbers of copies begin here."""


def fill(databases: Databases, uid: str, first: int, last: int) -> None:
    """Copy a run, with the numbers from ``first`` to ``last``.

    :param uid: of the run; its file gets a link for each copy.
    """
    for begin in range(first, last + 1, BLOCK):
        _copy(databases, uid, begin, min(begin + BLOCK - 1, last))
    databases.settle()


def sample_of(number: int) -> str:
    """The sample of a copy."""
    return f"sample-{number % SAMPLES}"


def _copy(databases: Databases, uid: str, first: int, last: int) -> None:
    ((run,),) = databases.ask(f"SELECT id FROM nodes WHERE parent = 0 AND key = '{uid}'")
    values = {
        "start.uid": "numbers.uid",
        "start.scan_id": f"{FIRST_SCAN} + numbers.n",
        "start.sample": f"'sample-' || (numbers.n % {SAMPLES})",
    }
    metadata = databases.with_values("t.metadata", values)
    todo = [
        databases.numbers.format(first=first, last=last),
        "INSERT INTO nodes (parent, key, structure_family, metadata, specs) "
        f"SELECT 0, numbers.uid, t.structure_family, {metadata}, t.specs FROM numbers, nodes t WHERE t.id = {run} "
        "ORDER BY numbers.n",
        f"CREATE TEMP TABLE copies AS SELECT numbers.n, numbers.uid, {run} AS original, nodes.id FROM numbers "
        "JOIN nodes ON nodes.parent = 0 AND nodes.key = numbers.uid",
        "CREATE INDEX of_original ON copies (original)",
        *_below(databases, run),
    ]
    todo += _sources(databases, run, first, last)
    databases.change(todo)


def _children(databases: Databases, node: str) -> list[str]:
    return [row[0] for row in databases.ask(f"SELECT id FROM nodes WHERE parent = {node} ORDER BY id")]


def _below(databases: Databases, node: str) -> list[str]:
    """Copy what stands below a node."""
    todo = []
    for child in _children(databases, node):
        todo += [
            "INSERT INTO nodes (parent, key, structure_family, metadata, specs) "
            "SELECT copies.id, t.key, t.structure_family, t.metadata, t.specs FROM copies, nodes t "
            f"WHERE copies.original = {node} AND t.id = {child} ORDER BY copies.n",
            f"INSERT INTO copies SELECT copies.n, copies.uid, {child}, nodes.id FROM copies "
            f"JOIN nodes t ON t.id = {child} "
            f"JOIN nodes ON nodes.parent = copies.id AND nodes.key = t.key WHERE copies.original = {node}",
            *_below(databases, child),
        ]
    return todo


def _nodes(databases: Databases, node: str) -> list[str]:
    return [node, *(below for child in _children(databases, node) for below in _nodes(databases, child))]


def _sources(databases: Databases, run: str, first: int, last: int) -> list[str]:
    """Where the copies have their values: tables are copied, files get another name."""
    todo = []
    for node in _nodes(databases, run):
        asked = (
            "SELECT d.id, d.management, d.parameters, a.id, a.data_uri FROM data_sources d "
            "JOIN data_source_asset_association j ON j.data_source_id = d.id JOIN assets a ON a.id = j.asset_id "
            f"WHERE d.node_id = {node}"
        )
        for source, management, parameters, asset, uri in databases.ask(asked):
            changed, where = "d.parameters", asset
            if management == "external":
                name = f"'{uri.rpartition('/')[0]}/' || {{}}.uid || '.h5'"
                where = f"(SELECT id FROM assets WHERE data_uri = {name.format('copies')})"
                todo.append(
                    f"INSERT INTO assets (data_uri, is_directory) SELECT {name.format('numbers')}, a.is_directory "
                    f"FROM numbers, assets a WHERE a.id = {asset}"
                )
                _link_files(uri, first, last)
            else:
                begin = _copy_table(databases, json.loads(parameters), first, last)
                changed = databases.with_values("d.parameters", {"dataset_id": f"{begin - first} + copies.n"})
            todo += [
                "INSERT INTO data_sources "
                "(node_id, structure_id, mimetype, parameters, properties, management, structure_family) "
                f"SELECT copies.id, d.structure_id, d.mimetype, {changed}, d.properties, d.management, "
                "d.structure_family FROM copies, data_sources d "
                f"WHERE copies.original = {node} AND d.id = {source}",
                "INSERT INTO data_source_asset_association (data_source_id, asset_id, parameter, num) "
                f"SELECT d.id, {where}, j.parameter, j.num FROM copies JOIN data_sources d ON d.node_id = copies.id, "
                f"data_source_asset_association j WHERE copies.original = {node} AND j.data_source_id = {source}",
            ]
    return todo


def _copy_table(databases: Databases, parameters: dict[str, str], first: int, last: int) -> int:
    """The rows of a table, once for each copy; the number of the first."""
    name, dataset = parameters["table_name"], parameters["dataset_id"]
    begin = databases.next_dataset(last - first + 1)
    columns = ", ".join(f't."{column}"' for column in _columns(databases, name) if column != "_dataset_id")
    databases.change(
        [
            databases.numbers.format(first=first, last=last),
            f'INSERT INTO "{name}" (_dataset_id, {columns.replace("t.", "")}) '
            f'SELECT {begin - first} + numbers.n, {columns} FROM numbers, "{name}" t WHERE t._dataset_id = {dataset}',
        ],
        tables=True,
    )
    return begin


def _columns(databases: Databases, table: str) -> list[str]:
    if databases.json_bytes.startswith("pg"):
        asked = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
    else:
        asked = f"SELECT name FROM pragma_table_info('{table}')"
    return [row[0] for row in databases.ask(asked, tables=True)]


def _link_files(uri: str, first: int, last: int) -> None:
    original = Path(unquote(urlsplit(uri).path))
    for number in range(first, last + 1):
        link = original.with_name(f"{bulk_uid(number)}.h5")
        if not link.is_symlink():
            link.symlink_to(original.name)
