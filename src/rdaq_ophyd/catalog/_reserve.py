"""Room on the disk that only the end of a run may take."""

from __future__ import annotations

import os
from pathlib import Path

# Stop documents are some hundred bytes; a block of the file system is what one takes.
RESERVED_BYTES = 256 * 2**10


class Reserve:
    """A file that holds its place until the disk is full; then it makes way for stop documents.

    :param path: the file. All processes that write into the same spool share it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self) -> None:
        """Take the room, if it is not taken yet.

        :raises OSError: there is none.
        """
        if self.path.exists() and self.path.stat().st_size >= RESERVED_BYTES:
            return
        with self.path.open("wb") as file:
            file.write(os.urandom(RESERVED_BYTES))  # not zeros: some file systems keep no blocks of them

    def give_way(self) -> bool:
        """Free the room; whether there was any."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True
