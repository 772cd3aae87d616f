"""The name ``rdaq`` for Tiled and databroker clients of this user."""

from __future__ import annotations

import logging
from pathlib import Path

import orjson

from ._files import write_atomic
from ._layout import DataLayout

logger = logging.getLogger(__name__)

NAME = "rdaq"
_OURS = "# Written by rdaq-ophyd"


def write_profile(layout: DataLayout, uri: str, key: str, *, name: str = NAME) -> Path | None:
    """Make ``tiled.client.from_profile(name)`` and ``databroker.catalog[name]`` lead to the catalog at ``uri``.

    The file holds the key and is private to the user. It stays when the session ends: the address is the same next time
    where its port is still free. With several data directories the name leads to the one started last.

    :return: the file, or None (and a warning in the log) when a profile of that name exists that is not ours.
    """
    from tiled.profiles import list_profiles, load_profiles, paths

    existing = list_profiles().get(name)
    if existing is not None and not _is_ours(existing):
        logger.warning(
            "there is a Tiled profile %r in %s that rdaq-ophyd did not write: left as it is; "
            "from_profile(%r) does not lead to %s",
            name, existing, name, layout.root,
        )  # fmt: skip
        return None
    path: Path = paths[-1] / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Tiled moves the key from the address into a header. On loopback compressing costs more than it saves.
    content = {name: {"uri": f"{uri}?api_key={key}", "headers": {"accept-encoding": "identity"}}}
    text = f"{_OURS} for the data directory {str(layout.root)!r}, at each start of a session.\n".encode()
    write_atomic(path, text + orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    load_profiles.cache_clear()
    return path


def _is_ours(path: Path) -> bool:
    return path.read_text(errors="replace").startswith(_OURS)
