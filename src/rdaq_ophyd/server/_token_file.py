"""Tokens that change while a server runs: a file that is read anew when it was changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from rdaq_ophyd.errors import RdaqError

from ._access import Token, read_tokens

__all__ = ["TokenFile"]
logger = logging.getLogger(__name__)

type Version = tuple[int, int, int, int] | None


class TokenFile(Sequence[Token]):
    """The tokens of a file, as they are now.

    Each look costs one ``stat``. A file that was changed into something that is none is told in the log, and those it
    held before stay valid: a slip of the pen must lock nobody out of the stop.

    :param path: see :func:`read_tokens`.
    :raises RdaqError: as :func:`read_tokens` does, now; later it is logged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._lock = threading.Lock()  # metrics are served by a thread of their own
        self._version = self._look()
        self._tokens = read_tokens(self.path)

    def _look(self) -> Version:
        """What tells a changed file from the same one; None where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    def _now(self) -> list[Token]:
        with self._lock:
            if (version := self._look()) != self._version:
                self._version = version
                self._read()
            return self._tokens

    def _read(self) -> None:
        try:
            fresh = read_tokens(self.path)
        except RdaqError as error:
            logger.error("%s; the tokens that were valid before stay valid", error)
            return
        before, self._tokens = self._tokens, fresh
        for what, some, others in (("new", fresh, before), ("no longer valid", before, fresh)):
            if names := [token.name for token in some if token not in others]:
                logger.warning("%s: tokens %s: %s", self.path, what, ", ".join(names))

    def __iter__(self) -> Iterator[Token]:
        return iter(self._now())

    @overload
    def __getitem__(self, index: int) -> Token: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Token]: ...
    def __getitem__(self, index: int | slice) -> Token | Sequence[Token]:
        return self._now()[index]

    def __len__(self) -> int:
        return len(self._now())
