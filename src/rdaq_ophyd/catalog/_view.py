"""The catalog as the session's ``c``: what was just recorded is there before anything is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class SessionCatalog:
    """The Tiled catalog of the session, used as any ``CatalogOfBlueskyRuns``.

    ``c[-1]`` is the last run, ``c[uid]`` one by its uid or the beginning of it, ``c[scan_id]`` one by its number;
    iteration, ``len``, ``search`` and everything else is the Tiled client's. Each first waits, bounded, until the
    documents recorded so far have arrived, and warns in the log when some have not.

    :param client: gives the Tiled client.
    :param wait: waits for the spool.
    """

    def __init__(self, client: Callable[[], Any], wait: Callable[[], object]) -> None:
        self._client = client
        self._wait = wait

    def _current(self) -> Any:
        self._wait()
        return self._client()

    def __getitem__(self, key: Any) -> Any:
        return self._current()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def __contains__(self, key: object) -> bool:
        return key in self._current()

    def __repr__(self) -> str:
        return repr(self._current())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle, copy and IPython probe for these; they must not wait for a server
            raise AttributeError(name)
        return getattr(self._current(), name)
