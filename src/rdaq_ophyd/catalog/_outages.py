"""Whose fault a failed delivery is: the run's, which then stands aside, or the catalog's, for which all runs wait."""

from __future__ import annotations

from typing import Any

import httpx

# The key is wrong, revoked or may not do this; too many requests; a proxy without a server behind it.
_REFUSED: dict[int, str] = {
    httpx.codes.UNAUTHORIZED: "the catalog does not know the key",
    httpx.codes.FORBIDDEN: "the catalog does not let this key do it",
    httpx.codes.TOO_MANY_REQUESTS: "the catalog has too much to do",
    httpx.codes.BAD_GATEWAY: "the proxy reaches no catalog",
    httpx.codes.SERVICE_UNAVAILABLE: "the catalog is not available",
    httpx.codes.GATEWAY_TIMEOUT: "the catalog does not answer its proxy",
}


def outage(error: Exception, client: Any) -> str:
    """What keeps the catalog from taking any run, in words; empty where this run alone is refused.

    A server whose database is gone answers 500, as it does for a document that it cannot take. Then it is asked for
    something else: what it says to that tells the one from the other.

    :param error: what the delivery failed with.
    :param client: the root of the catalog; None where there is no connection.
    """
    if isinstance(error, httpx.TransportError):
        return f"Tiled does not answer: {error}"
    if not isinstance(error, httpx.HTTPStatusError):
        return ""
    status = error.response.status_code
    if (refusal := _REFUSED.get(status)) is not None:
        return f"{refusal}: {' '.join(str(error).split())}"
    if status >= httpx.codes.INTERNAL_SERVER_ERROR and not _has_database(client):
        return "Tiled answers, its database does not"
    return ""


def may_pass(error: Exception) -> bool:
    """Whether the server failed, not the document: of several engines behind it one may be away, such as Redis."""
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
    return bool(status >= httpx.codes.INTERNAL_SERVER_ERROR)


def _has_database(client: Any) -> bool:
    """Whether the catalog finds its own runs and tables."""
    if client is None:
        return False
    for _ in range(2):  # after an error of its own the server closes the connection, which the next request may meet
        try:
            answer = client.context.http_client.get(f"{client.context.api_uri}search/", params={"page[limit]": 1})
        except httpx.TransportError:
            continue
        return bool(answer.is_success)
    return False
