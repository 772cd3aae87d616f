"""What a process tells others of its links: ``rdaq trace PORT``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rdaq_ophyd.stop import answer, targets

from ._registry import open_links
from ._safety import LinkSafety

if TYPE_CHECKING:
    from ._link import Link


def links() -> list[Link]:
    """Every link of this process that is shared, or that a device uses."""
    used = [target.link for target in targets() if isinstance(target, LinkSafety)]
    return list({id(link): link for link in (*open_links(), *used)}.values())


def trace(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last bytes on the link whose URL is, or ends with, ``port``."""
    port, known = str(request["port"]), links()
    found = [link for link in known if _is(link.url, port)]
    if len(found) != 1:
        urls = ", ".join(link.url for link in known) or "none"
        return {"error": f"{'no link' if not found else 'more than one link'} is {port!r}; links here: {urls}"}
    (link,) = found
    head = f"{link.url}: {link.state}; last exchange: {link.last_exchange or 'none'}"
    return {"lines": [head, *map(str, link.trace())]}


def _is(url: str, port: str) -> bool:
    same = "://" not in url and os.path.realpath(url) == os.path.realpath(port)
    return bool(port) and (url == port or url.endswith(port) or same)


answer("trace", trace)
