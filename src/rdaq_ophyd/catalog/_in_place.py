"""Parts of a run that the catalog may have from before: what is there is kept, what is missing is added.

Nothing is deleted, so that no rig's key needs the right to. The plugin's writer of a run gets these in the place of
Tiled's own clients. What an earlier delivery left is the beginning of what the documents tell: both come from one file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from tiled.client.container import Container

from ._kept_rows import KeptArray, KeptTable, renumbered


class PartsInPlace:
    """A Tiled container in which a part that is there already is taken for the one that was to be made.

    :param container: Tiled's client of it.
    :ivar kept: keys of arrays in files that were there.
    """

    def __init__(self, container: Any) -> None:
        self._container = container
        self.kept: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    @property
    def base(self) -> PartsInPlace:
        """Itself: the plugin asks a client of a stream for the container that it wraps."""
        return self

    def create_container(self, *, key: str, **options: Any) -> PartsInPlace:
        """Tiled's own."""
        made, _ = self._made(key, lambda: self._container.create_container(key=key, **options))
        return PartsInPlace(getattr(made, "base", made))  # of a run or a stream: the container that it wraps

    def new(self, *what: Any, key: str, **options: Any) -> Any:
        """Tiled's own."""
        made, there = self._made(key, lambda: self._container.new(*what, key=key, **options))
        if there:
            self.kept.add(key)
        return made

    def create_appendable_table(self, *, key: str, **options: Any) -> Any:
        """Tiled's own; of rows that are there already none is appended."""
        made, there = self._made(key, lambda: self._container.create_appendable_table(key=key, **options))
        return KeptTable(made) if there else made

    def write_array(self, array: Any, *, key: str, **options: Any) -> KeptArray:
        """Tiled's own; rows that are there already are written once more in their places."""
        made, there = self._made(key, lambda: self._container.write_array(array, key=key, **options))
        if not there:
            return KeptArray(made, len(array))
        rows = KeptArray(made, 0, check=lambda: self._look_up(key))
        rows.patch(array.astype(made.dtype), offset=(0,), extend=True)
        return rows

    def write_ragged(self, array: Any, *, key: str, **options: Any) -> Any:
        """Tiled's own; one that is there already is written whole."""
        from tiled.structures.ragged import RaggedStructure, make_ragged_array, make_ragged_chunks

        made, there = self._made(key, lambda: self._container.write_ragged(array, key=key, **options))
        if not there:
            return made
        rows = make_ragged_array(array)
        chunks = make_ragged_chunks(rows, self._container._SUGGESTED_MAX_UPLOAD_SIZE)
        renumbered(made, RaggedStructure.from_array(rows, chunks=chunks, dims=options.get("dims")))
        made, first = self._look_up(key), 0
        for block, length in enumerate(chunks[0]):
            made.write_block(rows[first : first + length], block=block)
            first += length
        return made

    def part(self, key: str) -> Any:
        """Tiled's client of the part under ``key``; None where there is none."""
        try:
            return self._look_up(key)
        except KeyError:
            return None

    def _made(self, key: str, make: Callable[[], Any]) -> tuple[Any, bool]:
        """What was made, or what is there under its key; and which of the two."""
        try:
            return make(), False
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
        return self._look_up(key), True

    def _look_up(self, key: str) -> Any:
        # Not the client's own []: that of a catalog of runs takes a key for the beginning of a uid.
        return Container.__getitem__(self._container, key)
