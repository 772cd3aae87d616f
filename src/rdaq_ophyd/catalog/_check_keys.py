"""Whether the keys of a rig may do what they must, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from rdaq_ophyd.errors import CatalogError

from ._finding import Finding, failed, skipped
from ._shared import KeySource, SharedCatalog

_SUBSCRIBE = "Tiled's own client could not subscribe and would wait for ever: it makes a key for each subscription"
READER_SCOPES = {
    "read:metadata": "it could not read",
    "read:data": "it could not read",
    "create:apikeys": _SUBSCRIBE,
    "revoke:apikeys": _SUBSCRIBE,
}
"""What the key of readers must be allowed to do, and what would fail otherwise."""
WRITER_SCOPES = {
    "read:metadata": "it could not find its own runs",
    "read:data": "it could not read its own runs",
    "write:metadata": "no run could be written",
    "write:data": "no table of events could be written",
    "create:node": "no run could be written",
    "register": "no file of frames could be told of",
}
"""What the key of a rig must be allowed to do, and what would fail otherwise."""
_HOW = "a key with the role {role}, see profiles/scaled/README.md"


def check_keys(http: httpx.Client, shared: SharedCatalog) -> Iterator[Finding]:
    """The rig's key and the readers'."""
    yield from _check_key(http, "the rig's key", shared.writer, "rdaq-writer")
    if shared.reader:
        yield from _check_key(http, "the readers' key", shared.reader, "rdaq-reader")
    else:
        yield skipped(
            "the readers' key", "there is none", "with reader_key_file the name `rdaq` leads Tiled's clients to it"
        )


def _check_key(http: httpx.Client, about: str, source: KeySource, role: str) -> Iterator[Finding]:
    try:
        key = source.read()
    except CatalogError as error:
        yield failed(about, error.what, error.hint, fatal=True)
        return
    answer = http.get("/auth/apikey", headers=authorized(key))
    if answer.status_code == httpx.codes.NOT_FOUND:
        yield failed(
            about,
            "this server has one key for everybody (no logins are configured): readers may write and delete",
            "configure authentication.providers and a database of logins, as in profiles/scaled/config.yml",
        )
        return
    if answer.status_code != httpx.codes.OK:
        yield failed(
            about,
            f"the server does not know the key in the {source} ({answer.status_code})",
            "it was revoked, has expired, or belongs to another server: " + _HOW.format(role=role),
            fatal=True,
        )
        return
    yield from _check_scopes(about, set(answer.json()["scopes"]), role)


def _check_scopes(about: str, scopes: set[str], role: str) -> Iterator[Finding]:
    needed = READER_SCOPES if role == "rdaq-reader" else WRITER_SCOPES
    lacking = [scope for scope in needed if scope not in scopes]
    for scope in lacking:
        yield failed(about, f"it lacks the scope {scope}: {needed[scope]}", _HOW.format(role=role))
    if more := sorted(scopes - needed.keys()):
        deletes = any(scope.startswith("delete") for scope in more)
        if role == "rdaq-reader":
            text = "readers may delete" if deletes else "readers may do more than read"
        else:
            text = "it may delete, and so the runs of every rig" if deletes else "it may do more than a rig needs"
        yield failed(about, f"{text}: {', '.join(more)}", "restrict it: " + _HOW.format(role=role))
    elif not lacking:
        yield Finding(about, f"has what the role {role} needs and no more ({len(scopes)} scopes)")


def authorized(key: str) -> dict[str, str]:
    """The header of a request with a key."""
    return {"Authorization": f"Apikey {key}"}
