"""The key that signs the page's cookies, so that browsers stay let in when the rig is started anew."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path

__all__ = ["page_key"]
logger = logging.getLogger(__name__)
SIZE = 32
"""Bytes."""
FOR_ITS_OWNER = 0o600


def page_key(folder: Path) -> bytes:
    """The key in ``page_key`` of a folder; made at first use.

    One that others could read, or that is none, is replaced by another, and everybody is asked for their token again.
    Where it cannot be kept, it is good until the process ends. Both are told in the log.

    :param folder: the state directory.
    """
    path = folder / "page_key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (key := _kept(path)) is None:
            _keep(path)
            key = _kept(path)
        if key is not None:
            return key
        why = "it was changed meanwhile"
    except OSError as error:
        why = error.strerror or str(error)
    logger.warning("%s: %s; the page asks for tokens again when the rig is started anew", path, why)
    return secrets.token_bytes(SIZE)


def _kept(path: Path) -> bytes | None:
    """What is there, if it is a key and nobody else's business; what is not is taken away."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    try:
        with open(descriptor, "rb", closefd=False) as file:
            about, key = os.fstat(descriptor), file.read(SIZE + 1)
    finally:
        os.close(descriptor)  # of a directory, too, which no file can be made of
    if os.name == "posix" and (about.st_mode & 0o077 or about.st_uid != os.geteuid()):
        wrong = "others could read or change it"
    elif len(key) != SIZE:
        wrong = f"it is no key of {SIZE} bytes"
    else:
        return key
    logger.warning(
        "%s: %s; another key takes its place, and the page asks everybody for their token again", path, wrong
    )
    path.unlink()
    return None


def _keep(path: Path) -> None:
    """Make one, whole or not at all; where another process was first, its key counts."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _make(fresh)
    try:
        with contextlib.suppress(FileExistsError):
            _put(fresh, path)
    finally:
        fresh.unlink()


def _put(fresh: Path, path: Path) -> None:
    """Give it its name, which no other file may have.

    :raises FileExistsError: another has it.
    """
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: there it is made in place, and seen while it is
        _make(path)


def _make(path: Path) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FOR_ITS_OWNER), "wb") as file:
        try:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
        except OSError:
            path.unlink()
            raise
