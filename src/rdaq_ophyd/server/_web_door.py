"""Who may use the page: requests of other sites are refused, tokens are shown once and remembered by a cookie."""

from __future__ import annotations

import hmac
import secrets
import time
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from rdaq_ophyd.errors import NotAllowed

from ._access import Access, Token

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
REMEMBERED = 12 * 3600.0
"""Seconds that a browser stays let in."""


class Door:
    """Looks at each request before it is served.

    :param access: of the server.
    :param port: that the page is served on; cookies are shared by all ports of a host, so its name has it.
    :param key: signs the cookies, which with it are good in another process, too; None: for this one alone.
    """

    def __init__(self, access: Access, port: int, key: bytes | None = None) -> None:
        self._access, self._key = access, key or secrets.token_bytes(32)
        self.cookie = f"rdaq-{port}"
        self.scheme = "https" if access.certificate else "http"
        self.public = urlsplit(access.public).netloc.casefold().removesuffix(":443")

    def check_site(self, request: HTTPConnection) -> None:
        """Refuse what a page of another site asks for.

        A site whose name is made to lead to this machine (DNS rebinding) is known by its ``Host``, any other one by its
        ``Origin``, which browsers send with WebSockets and with POST. The port is left open: an SSH tunnel has another.

        :raises NotAllowed: it is not from our page.
        """
        host = request.headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        by_proxy = self.is_by_proxy(request)
        if self._access.is_loopback and not by_proxy and name not in LOOPBACK_NAMES | {self._access.host}:
            raise NotAllowed(f"this is not {name!r}", hint="use 127.0.0.1 or localhost in the address")
        origin = request.headers.get("origin")
        scheme = "https" if by_proxy else self.scheme
        if origin is not None and origin.casefold() != f"{scheme}://{host}".casefold():
            raise NotAllowed(f"a page of {origin!r} may not use this one", hint="open the page that the rig serves")

    def is_by_proxy(self, request: HTTPConnection) -> bool:
        """Whether a browser asks by the public name, and with that through the proxy's TLS."""
        return bool(self.public) and request.headers.get("host", "").casefold() == self.public

    def who(self, request: HTTPConnection) -> Token:
        """Whose request it is, by ``Authorization: Bearer …`` or the cookie.

        :raises NotAllowed: nobody's that is known, or not any more.
        """
        return self._remembered(request.cookies.get(self.cookie, "")) or self._access.who(request.headers)

    def client(self, request: HTTPConnection, token: Token) -> str:
        """As whom the limits count it: who shows a token, else where it comes from."""
        return token.name if self._access.tokens else f"page:{request.client.host if request.client else ''}"

    def let_in(self, token: str) -> str:
        """The value of a cookie for whoever shows a token.

        :raises NotAllowed: it is not known.
        """
        who = self._access.who({"authorization": f"Bearer {token}"})
        return self._signed(who, f"{int(time.time() + REMEMBERED)}.{secrets.token_urlsafe(16)}")

    def _remembered(self, value: str) -> Token | None:
        """Whose cookie it is. Nobody's any more when its time is over, or its token is not as it was."""
        claim, _, _ = value.rpartition(".")
        until = claim.partition(".")[0]
        if not (until.isascii() and until.isdecimal() and len(until) < 20 and time.time() < int(until)):
            return None
        shown = value.encode("utf-8", "replace")
        signed = ((token, self._signed(token, claim)) for token in self._access.tokens)
        return next((token for token, whole in signed if hmac.compare_digest(whole.encode(), shown)), None)

    def _signed(self, token: Token, claim: str) -> str:
        """With a key that only this token gives: of another token, role or name there is another signature."""
        key = hmac.digest(self._key, token.secret.encode(), "sha256")
        said = "\0".join((self.cookie, token.name, token.role, claim))
        return f"{claim}.{hmac.new(key, said.encode('utf-8', 'replace'), 'sha256').hexdigest()}"
