"""``rdaq view``: the page of a server, in the browser of this machine."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import sys
import urllib.error
import urllib.request
import webbrowser
from urllib.parse import urlsplit

from rdaq_ophyd.errors import LimitError, NotAllowed, RdaqError, ServerGone

ANSWERS_IN = 10.0
"""Seconds."""
NAME = re.compile(r"[^\s\ud800-\udfff]+")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

__all__ = ["view"]


def view(host: str | None, *, port: int, browser: bool = True, ca: str | None = None) -> int:
    """Print the page's address and open it.

    :param host: ``host``, ``host:port`` or the address as the server prints it; None for this machine.
    :param port: unless ``host`` has one.
    :param browser: False only prints.
    :param ca: certificate file of who signed the server's.
    :raises LimitError: this is no host.
    :raises ServerGone: no page is served there.
    """
    address = _address("127.0.0.1" if host is None else host, port)
    _ask(address, ca)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    if browser and not webbrowser.open(address):
        raise RdaqError("no browser was found on this machine", hint=f"open {address} in one, or ssh -L to this port")
    return 0


def _address(host: str, port: int) -> str:
    try:
        parts = urlsplit(host if "://" in host else f"//{host}")
        name, port = parts.hostname or "", port if parts.port is None else parts.port
    except ValueError as error:
        raise LimitError(f"{host!r} is no host: {error}", hint="HOST, or HOST:PORT") from error
    if not NAME.fullmatch(name) or not port or parts.scheme not in ("", "http", "https"):
        raise LimitError(f"{host!r} is no host", hint="HOST, or HOST:PORT, the second line that `rdaq serve` prints")
    # Other machines are served with TLS, or through a tunnel that ends on this one.
    scheme = parts.scheme or ("http" if name in LOOPBACK else "https")
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"


def _ask(address: str, ca: str | None) -> None:
    """Make sure that it is a page of ours.

    :raises ServerGone: it is not.
    """
    hint = "does `rdaq serve` run there? from another machine: ssh -L 50052:127.0.0.1:50052 HOST, then rdaq view"
    handlers = [urllib.request.ProxyHandler({})]
    try:
        if ca is not None:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))  # type: ignore[arg-type]
        opener = urllib.request.build_opener(*handlers)
        with opener.open(f"{address}whoami", timeout=ANSWERS_IN) as reply:
            about = json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 401:
                return  # it will ask for the token
            if error.code == 403:
                raise NotAllowed(f"{address}: {error.reason}", hint="use the name that the server has") from error
        raise ServerGone(f"{address}: {error}", hint=hint) from error
    except http.client.BadStatusLine as error:  # its text is whatever came
        what = f"{address}: what answers there is no web server"
        raise ServerGone(what, hint="give the second line that `rdaq serve` prints, its page's") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ServerGone(f"{address}: {getattr(error, 'reason', error)}", hint=hint) from error
    if not isinstance(about, dict) or "role" not in about:
        raise ServerGone(f"{address}: another server answers there", hint=hint)
