"""What readers ask a catalog, a request each, as Tiled's client words it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from benchmarks._live import http

OCTETS = "application/octet-stream"
NEWEST = "newest 10 runs"
NEWEST_OF_RIG = "newest run of one rig"
BY_KEY = "10 runs by a key of the start document"
BY_UID = "one run by its uid"
SLICE = "one frame of a run"
KINDS = (NEWEST, NEWEST_OF_RIG, BY_KEY, BY_UID, SLICE)


def equals(key: str, value: str) -> dict[str, str]:
    """The condition that a key of the metadata has this value."""
    return {"filter[eq][condition][key]": key, "filter[eq][condition][value]": json.dumps(value)}


class Asking:
    """A reader with a connection of its own.

    :param uri: of the catalog's API.
    :param key: of a reader.
    """

    def __init__(self, uri: str, key: str) -> None:
        self._http = http(uri, key)

    def close(self) -> None:
        """Close its connection."""
        self._http.close()

    def get(self, path: str, **params: Any) -> httpx.Response:
        """One answer.

        :raises httpx.HTTPError: it was an error, or none came.
        """
        return self._http.get(path, params=params).raise_for_status()

    def query(self, kind: str, uid: str, sample: str, rig: str) -> Any:
        """One of ``KINDS``; what it found."""
        if kind == BY_UID:
            return self.get(f"/metadata/{uid}").json()["data"]["id"]
        if kind == SLICE:
            return self.get(f"/array/full/{uid}/primary/cam", slice="3", format=OCTETS).content
        page: dict[str, Any] = {"page[offset]": 0, "page[limit]": 10}
        if kind == BY_KEY:
            page |= equals("start.sample", sample)
        else:
            page |= {"sort": "-_", "page[limit]": 10 if kind == NEWEST else 1}
            page |= equals("start.rig.name", rig) if kind == NEWEST_OF_RIG else {}
        return [run["id"] for run in self.get("/search/", **page).json()["data"]]

    def timed(self, *query: str) -> float:
        """Seconds of one query.

        :raises LookupError: it found nothing.
        """
        began = time.perf_counter()
        found = self.query(*query)
        seconds = time.perf_counter() - began
        if not found:
            raise LookupError(f"nothing was found by {query}")
        return seconds

    def rows(self, uid: str) -> int:
        """Frames that the catalog shows of a run; 0 while it has none."""
        reply = self._http.get(f"/metadata/{uid}/primary/cam", params={"fields": "structure"})
        if reply.status_code == httpx.codes.NOT_FOUND:
            return 0
        return int(reply.raise_for_status().json()["data"]["attributes"]["structure"]["shape"][0])

    def runs(self, rig: str) -> list[str]:
        """Uids of all runs of a rig."""
        found: list[str] = []
        while True:
            page = {"page[offset]": len(found), "page[limit]": 100, "fields": "", **equals("start.rig.name", rig)}
            got = [run["id"] for run in self.get("/search/", **page).json()["data"]]
            found += got
            if len(got) < 100:
                return found


def until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until it holds; the seconds that took.

    :raises TimeoutError: it did not.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began
