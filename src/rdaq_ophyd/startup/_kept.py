"""Small files that a session keeps in its data directory; a disk that refuses them is told in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError, RdaqError

__all__ = ["replace_file", "told_in_words"]


@contextmanager
def told_in_words(path: Path) -> Iterator[None]:
    """Let whatever the system says about ``path`` be a :class:`DataDirectoryError` with the next step."""
    try:
        yield
    except RdaqError:
        raise
    except OSError as error:
        raise DataDirectoryError(
            f"cannot write {str(path)!r} ({error.strerror or error})",
            hint="free some room, make the folder writable, or choose another data directory",
        ) from error


def replace_file(path: Path, content: bytes) -> None:
    """Write the whole file anew; it is never half of it that others find, and what was there stays if that fails.

    :raises OSError: it cannot be written.
    """
    fresh = path.with_suffix(f".{os.getpid()}.new")
    try:
        fresh.write_bytes(content)
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
