"""The rig's catalog, from the same machine or through a tunnel."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from rdaq_ophyd.errors import CatalogError, NotAllowed
from rdaq_ophyd.wire import messages, this_host

REACHED = 5.0
"""Seconds in which something must answer there; Tiled's own client tries for half a minute."""


def open_catalog(told: messages.Catalog, uri: str | None) -> Any:
    """A Tiled client.

    The key goes to the address that was told, on the server's own machine, or to the one that somebody names: on
    another machine the same address is somebody else's. One that several rigs share has the same address everywhere.

    :param uri: where the catalog can be reached from here; None on the server's machine.
    :raises NotAllowed: this is another machine, and nobody said where the catalog is.
    :raises CatalogError: Tiled is not installed here, or does not answer.
    """
    if uri is None and told.host not in ("", this_host()):
        port = told.uri.split("//", 1)[1].split("/", 1)[0].rpartition(":")[2]
        raise NotAllowed(
            f"{told.uri} is an address of the server's own machine",
            hint=f"`ssh -L 8000:127.0.0.1:{port} THAT_MACHINE`, then catalog('http://127.0.0.1:8000/api/v1')",
        )
    try:
        from tiled.client import from_uri
    except ImportError as error:
        raise CatalogError("Tiled's client is not installed", hint="pip install 'tiled[client]'") from error
    where = uri or told.uri
    _check_reachable(where)
    try:
        return from_uri(where, api_key=told.key, headers={"accept-encoding": "identity"})
    except Exception as error:  # whatever its HTTP client raises
        raise CatalogError(f"{where}: {error}", hint="is it the address of Tiled's API, ending in /api/v1?") from error


def _check_reachable(where: str) -> None:
    try:
        found = urlsplit(where)
        address = (found.hostname or "", found.port or (443 if found.scheme == "https" else 80))
        socket.create_connection(address, REACHED).close()
    except (OSError, ValueError) as error:
        raise CatalogError(f"{where}: {error}", hint="is it the address of Tiled's API, ending in /api/v1?") from error
