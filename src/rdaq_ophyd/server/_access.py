"""Who may call, and what: loopback by default; elsewhere only with tokens and TLS."""

from __future__ import annotations

import hmac
import ipaddress
import ssl
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from rdaq_ophyd.errors import LimitError, NotAllowed, RdaqError

LOOPBACK = "127.0.0.1"
SHORTEST = 32
"""Characters of a token; ``python -m secrets``-like ones of 32 bytes have 43."""


class Role(StrEnum):
    """What somebody may do."""

    OBSERVE = "observe"
    """Look at everything, and stop everything."""
    OPERATE = "operate"
    """All calls."""


#: Calls that every role may make. A stop is never refused to anybody who may look.
OBSERVING = frozenset(
    {
        "DescribeDevice", "FollowPlan", "GetSession", "GetState", "ListDevices", "ListPlans", "Locate", "Read",
        "StopAll", "StreamDocuments", "StreamFrames", "StreamSamples", "WatchLog", "WatchState",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Token:
    """What somebody shows at each call.

    :param name: of the person or program, for the audit log.
    :param role: what they may do.
    :param secret: the token itself.
    """

    name: str
    role: Role
    secret: str = field(repr=False)


def read_tokens(path: str | Path) -> list[Token]:
    """Tokens from a TOML file that nobody else may read: ``[alice]``, ``role = "operate"``, ``token = "…"``.

    ``token`` may be a list: while one is replaced by another, both are valid.

    :raises RdaqError: it cannot be read, others may read it, an entry is none, or there is none; names the entry.
    """
    path = Path(path)
    try:
        if path.stat().st_mode & 0o077:
            raise RdaqError(f"{path}: others may read it", hint=f"chmod 600 {path}")
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RdaqError(f"{path}: {error}", hint="give a TOML file with a table for each person") from error
    if not found:  # nobody's file would be everybody's door
        raise RdaqError(f"{path}: holds no token", hint="give a table for each person, or no file")
    return [token for name, table in found.items() for token in _tokens(path, name, table)]


def _tokens(path: Path, name: str, table: object) -> list[Token]:
    said = f"{path}: [{name}] needs role and token, and nothing else"
    if not isinstance(table, dict) or set(table) != {"role", "token"}:
        raise RdaqError(said)
    role, secrets = table["role"], table["token"] if isinstance(table["token"], list) else [table["token"]]
    if not secrets or not all(isinstance(text, str) for text in (role, *secrets)):
        raise RdaqError(said)
    if role not in list(Role):
        raise RdaqError(f"{path}: [{name}] role {role!r}", hint=f"one of {', '.join(Role)}")
    if short := [len(secret) for secret in secrets if len(secret) < SHORTEST]:
        raise RdaqError(f"{path}: [{name}] token has {short[0]} characters", hint=f"give at least {SHORTEST}")
    return [Token(name, Role(role), secret) for secret in secrets]


@dataclass(frozen=True)
class Access:
    """The door of a server.

    :param host: address that it listens on.
    :param port: 0 for any that is free.
    :param tokens: who may come in; none: everybody on this machine, which is then the only one that is served.
    :param certificate: file of its TLS certificate, with the chain.
    :param key: file of the private key.
    :param public: ``https://rig.lab.example`` where a proxy with TLS stands before it: what browsers call its page.
    :raises LimitError: there is no such port, or ``public`` is no such address.
    :raises NotAllowed: another address than loopback without tokens and TLS, or a proxy without tokens.
    """

    host: str = LOOPBACK
    port: int = 0
    tokens: Sequence[Token] = ()
    certificate: Path | None = None
    key: Path | None = None
    public: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:  # gRPC would take the rest of a division
            raise LimitError(f"port {self.port}", hint="give 1 to 65535, or 0 for any that is free")
        if (self.certificate is None) != (self.key is None):
            raise NotAllowed("a certificate without its key, or a key without its certificate", hint="give both")
        if not self.is_loopback and not (self.tokens and self.certificate):
            raise NotAllowed(
                f"{self.host} can be reached from other machines",
                hint="give tokens and a TLS certificate with its key, or listen on 127.0.0.1 and use an SSH tunnel",
            )
        if self.public:
            self._check_public()

    def _check_public(self) -> None:
        try:
            found = urlsplit(self.public)
            whole = found.scheme == "https" and bool(found.hostname) and not (found.query or found.fragment)
            whole = whole and found.path in ("", "/") and found.username is None and found.port != 0
        except ValueError:  # urlsplit's: a host or a port that is none
            whole = False
        if not whole:
            raise LimitError(f"{self.public!r} is no address of a proxy", hint="such as https://rig.lab.example")
        if not self.tokens:
            raise NotAllowed(f"{self.public} can be reached from other machines", hint="give tokens")

    @property
    def is_loopback(self) -> bool:
        """Whether no other machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def tls(self) -> ssl.SSLContext | None:
        """The same for HTTPS; None without a certificate.

        :raises RdaqError: a file cannot be read, or is none of these.
        """
        if self.certificate is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            raise RdaqError(
                f"{self.certificate}, {self.key}: {error.strerror or error}",
                hint="give files in PEM that this user may read",
            ) from error
        return context

    def credentials(self) -> grpc.ServerCredentials | None:
        """For a TLS port; None without a certificate.

        :raises RdaqError: a file cannot be read.
        """
        if self.certificate is None or self.key is None:
            return None
        try:
            pair = (self.key.read_bytes(), self.certificate.read_bytes())
        except OSError as error:
            raise RdaqError(f"{error.filename}: {error.strerror}", hint="give files that this user may read") from error
        return grpc.ssl_server_credentials([pair])

    def who(self, metadata: Mapping[str, str]) -> Token:
        """Whose call it is.

        :raises NotAllowed: nobody's that is known.
        """
        if not self.tokens:
            return Token("local", Role.OPERATE, "")
        shown = metadata.get("authorization", "").removeprefix("Bearer ").encode()
        for token in self.tokens:
            if hmac.compare_digest(token.secret.encode(), shown):
                return token
        raise NotAllowed("no known token", hint="give the token that the server's owner gave you")

    def check_known(self, token: Token) -> None:
        """Let nobody go on whose token was taken away meanwhile.

        :raises NotAllowed: it was.
        """
        if self.tokens and token not in self.tokens:
            raise NotAllowed(f"the token of {token.name} is no longer valid", hint="ask for the new one")

    @staticmethod
    def check(token: Token, call: str) -> None:
        """Let only those do it who may.

        :raises NotAllowed: the role does not have that call.
        """
        if token.role is not Role.OPERATE and call not in OBSERVING:
            hint = "ask for a token with that role"
            if call == "StopDevice":
                hint = f"stop everything, which everybody may (StopAll, `rdaq stop`), or {hint}"
            raise NotAllowed(f"{token.name} may {token.role}; {call} is to operate", hint=hint)
