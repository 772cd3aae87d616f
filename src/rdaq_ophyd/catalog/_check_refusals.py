"""Whether the shared catalog refuses what it must."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from ._finding import Finding, failed, skipped
from ._shared import SharedCatalog

REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


def check_refusals(
    http: httpx.Client,
    run: str,
    array: str,
    shared: SharedCatalog,
    reader: dict[str, str],
    writer: dict[str, str],
) -> Iterator[Finding]:
    """Try on a run of our own what nobody may do.

    :param run: its path.
    :param array: path of its frames.
    :param reader: header with the readers' key.
    :param writer: header with the rig's.
    """
    wrong = []
    if http.get(f"/metadata/{run}").status_code not in REFUSED:
        wrong.append(("without a key the run can be read", "authentication.allow_anonymous_access: false"))
    if shared.reader:
        wrong += [(text, "give readers a key with the role rdaq-reader") for text in _try_as_reader(http, run, reader)]
    if _raw(http, array, writer):
        wrong.append(("raw files can be downloaded", "expose_raw_assets: false"))
    if http.get("/auth/principal", params={"limit": 1}, headers=writer).status_code == httpx.codes.OK:
        text = "the rig's key may list the people and services of this server"
        wrong.append((text, "give the rig a key with the role rdaq-writer"))
    for text, hint in wrong:
        yield failed("refuse", text, hint)
    if not wrong:
        yield Finding("refuse", "reading without a key, raw files" + (", writing as a reader" if shared.reader else ""))
    if not shared.reader:
        yield skipped("refuse", "what readers may not do was not tried: there is no key of theirs")


def _try_as_reader(http: httpx.Client, run: str, reader: dict[str, str]) -> list[str]:
    body = {"metadata": {"rdaq": "check"}}
    written = http.patch(f"/metadata/{run}", json=body, headers=reader).status_code not in REFUSED
    # A revision and a node that are not there: whoever may delete is told so, and nothing is lost.
    paths = [f"/revisions/{run}?number=1000000", f"/metadata/{run}/no-such-node?recursive=true&external_only=false"]
    deleted = any(http.delete(path, headers=reader).status_code not in REFUSED for path in paths)
    return ["the readers' key may write"] * written + ["the readers' key may delete"] * deleted


def _raw(http: httpx.Client, array: str, writer: dict[str, str]) -> bool:
    node = http.get(f"/metadata/{array}", params={"include_data_sources": "true"}, headers=writer)
    try:
        asset = node.json()["data"]["attributes"]["data_sources"][0]["assets"][0]["id"]
    except (KeyError, IndexError, TypeError, ValueError):
        return False  # nothing to download
    answer = http.get(f"/asset/bytes/{array}", params={"id": asset}, headers=writer)
    return answer.status_code not in REFUSED
