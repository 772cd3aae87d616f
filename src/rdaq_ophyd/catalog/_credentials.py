"""The key and the address of the Tiled of one data directory."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from ._files import read_json
from ._layout import DataLayout

logger = logging.getLogger(__name__)


def api_key(layout: DataLayout) -> str:
    """The key of this data directory: 64 hexadecimal digits in a file for the owner only; made at first use."""
    path = layout.catalog / "api_key"
    if not path.exists():
        _make_key(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        logger.warning("%s could be read by others: made it private again", path)
        path.chmod(0o600)
    return path.read_text().strip()


def _make_key(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    try:
        os.link(temporary, path)  # fails where another process was first, whose key then counts
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


@dataclass(frozen=True)
class ServerAddress:
    """Where the server of a data directory listens, as it wrote itself when it was ready."""

    uri: str
    pid: int


def server_address(layout: DataLayout) -> ServerAddress | None:
    """The address that the last server of this data directory wrote; it may be gone since."""
    content = read_json(layout.catalog / "server.json")
    return ServerAddress(content["uri"], content["pid"]) if content else None
