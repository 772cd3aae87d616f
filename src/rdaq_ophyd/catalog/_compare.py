"""Two catalogs asked for the same run: whether both say the same, by what they answer over HTTP."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import orjson

# Below what a server answers in one piece (300 MB), and little enough to hold.
_BLOCK_BYTES = 32 * 2**20
_PAGE = 100
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Node:
    """A run, or a part of one.

    :param path: from the root of the catalog.
    :param attributes: as Tiled gives them: metadata, specs, structure, data_sources.
    """

    path: str
    attributes: dict[str, Any] = field(hash=False)

    @property
    def family(self) -> str:
        """Structure family."""
        return str(self.attributes["structure_family"])

    @property
    def outside(self) -> bool:
        """Whether its values lie in files that the catalog was only told of."""
        sources = self.attributes.get("data_sources") or []
        return any(source["management"] == "external" for source in sources)


class Reader:
    """One of both catalogs.

    :param uri: of Tiled's API.
    :param key: that reads.
    """

    def __init__(self, uri: str, key: str) -> None:
        # A connection each: after an error of its own the server closes the one that met it.
        limits = httpx.Limits(max_keepalive_connections=0)
        headers = {"Authorization": f"Apikey {key}"}
        self._http = httpx.Client(base_url=uri, headers=headers, timeout=_TIMEOUT, limits=limits)

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def node(self, path: str) -> Node | None:
        """One node; None where there is none."""
        answer = self._http.get(f"/metadata/{quote(path)}", params={"include_data_sources": "true"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return Node(path, answer.json()["data"]["attributes"])

    def children(self, path: str = "") -> Iterator[Node]:
        """What stands directly below a node, in the catalog's order."""
        offset = 0
        while True:
            options: dict[str, Any] = {"page[limit]": _PAGE, "page[offset]": offset, "include_data_sources": "true"}
            answer = self._http.get(f"/search/{quote(path)}", params=options)
            answer.raise_for_status()
            found = answer.json()["data"]
            for each in found:
                yield Node(f"{path}/{each['id']}".lstrip("/"), each["attributes"])
            offset += len(found)
            if len(found) < _PAGE:
                return

    def below(self, node: Node) -> Iterator[Node]:
        """A node and everything below it."""
        yield node
        if node.family == "container":
            for child in self.children(node.path):
                yield from self.below(child)

    def documents(self, uid: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The documents of a run, as the catalog itself puts them together again."""
        answer = self._http.get(f"/container/full/{quote(uid)}", params={"format": "application/json-seq"})
        answer.raise_for_status()
        for line in answer.text.splitlines():
            if line.strip("\x1e "):
                document = orjson.loads(line.strip("\x1e"))
                yield document["name"], document["doc"]

    def put_metadata(self, node: Node) -> None:
        """Give the node of the same path the metadata of ``node``."""
        body = {"metadata": node.attributes["metadata"], "specs": node.attributes["specs"]}
        self._http.put(f"/metadata/{quote(node.path)}", json=body, params={"drop_revision": "true"}).raise_for_status()

    def digest(self, node: Node, *, every_frame: bool) -> str:
        """SHA-256 of a node's values; empty for one that has none of its own.

        :param every_frame: else of an array in files outside the first, middle and last row stand for all.
        """
        if node.family == "table":
            return self._table(node)
        if node.family == "array":
            return self._array(node, every_row=every_frame or not node.outside)
        return ""

    def _table(self, node: Node) -> str:
        answer = self._http.get(f"/table/full/{quote(node.path)}", params={"format": "application/json"})
        answer.raise_for_status()
        return table_digest(answer.json())

    def _array(self, node: Node, *, every_row: bool) -> str:
        structure = node.attributes["structure"]
        shape, size = structure["shape"], structure["data_type"]["itemsize"]
        digest = hashlib.sha256(repr(shape).encode())
        if not shape or 0 in shape:
            return digest.hexdigest()
        rows = shape[0]
        step = max(1, _BLOCK_BYTES // max(1, math.prod(shape[1:]) * size)) if every_row else 1
        for first in range(0, rows, step) if every_row else sorted({0, rows // 2, rows - 1}):
            options = {"slice": f"{first}:{min(first + step, rows)}", "format": "application/octet-stream"}
            answer = self._http.get(f"/array/full/{quote(node.path)}", params=options)
            answer.raise_for_status()
            digest.update(answer.content)
        return digest.hexdigest()


def table_digest(columns: dict[str, list[Any]]) -> str:
    """SHA-256 of a table's values, whatever the order of its columns and rows.

    SQLite knows no booleans and gives 0 and 1 for them.
    """
    names = sorted(columns)
    rows = [[_plain(value) for value in row] for row in zip(*(columns[name] for name in names), strict=True)]
    lines = sorted(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows)
    return hashlib.sha256(b"\n".join([orjson.dumps(names), *lines])).hexdigest()


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool | np.bool_) else value


def differences(old: Reader, new: Reader, uid: str, *, every_frame: bool) -> list[str]:
    """In what two catalogs do not say the same of a run; empty when they do."""
    there = {uid: new.node(uid)}
    if (before := old.node(uid)) is None or (after := there[uid]) is None:
        return [f"it is not in the {'old' if before is None else 'new'} catalog"]
    mine = {node.path: node for node in old.below(before)}
    theirs = {node.path: node for node in new.below(after)}
    if mine.keys() != theirs.keys():
        return [f"parts differ: {', '.join(sorted(mine.keys() ^ theirs.keys()))}"]
    found = []
    for path, node in mine.items():
        found += [f"{path}: {what} differ" for what in _unlike(node, theirs[path])]
        if old.digest(node, every_frame=every_frame) != new.digest(theirs[path], every_frame=every_frame):
            found.append(f"{path}: values differ")
    return found


def _unlike(one: Node, other: Node) -> list[str]:
    found = [what for what in ("metadata", "specs") if one.attributes[what] != other.attributes[what]]
    if one.family != other.family:
        found.append("families")
    elif one.family == "array":
        mine, theirs = one.attributes["structure"], other.attributes["structure"]
        found += [f"{what}s" for what in ("shape", "data_type") if mine[what] != theirs[what]]
    return found
