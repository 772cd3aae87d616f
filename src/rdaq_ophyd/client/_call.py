"""Calls, and the errors of the other side as exceptions of this one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from rdaq_ophyd.errors import NotAllowed, RdaqError, ServerGone
from rdaq_ophyd.wire import ERROR_KEY, DaqStub, error_from, messages

from . import _ask
from ._ask import Ask
from ._backoff import Backoff
from ._channel import Channels, authorization

LOOKS_AGAIN = 2.0
"""Seconds for which a question that only looks is asked again when the connection breaks."""
LOOKS = 5.0
"""Seconds for a look whether it is the same server, after the connection broke."""
ANY_HINT = "is `rdaq serve` running there, and the address right?"
HINTS = (
    ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is signed by another: give theirs (--ca, certificate=)"),
    ("Hostname Verification", "the server's certificate is for another name: use that one as the address"),
    ("WRONG_VERSION_NUMBER", "the server has no TLS: leave out --ca (certificate=); or is the address another's?"),
    ("Handshake read failed", "the server closed the connection: has it too many of them, or ended just now?"),
    ("http1.x server", "a web server answers there: give the first address that `rdaq serve` prints, not its page's"),
    ("Socket closed", "does it want TLS? give --ca (certificate=); if it does not, `rdaq serve` has ended there"),
)
"""What a connection that failed is asked about, by what gRPC says of it."""


@contextmanager
def told(address: str) -> Iterator[None]:
    """Raise what the server refused as what it was there.

    :raises RdaqError: the same class as on the server, with its message and hint.
    :raises ServerGone: there is no server, or no connection to it any more.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise exception(error, address) from error


def exception(error: Any, address: str) -> RdaqError:
    """The exception behind a gRPC error."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_KEY:
            return error_from(messages.Error.FromString(value))
    code, details = error.code(), error.details() or ""
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return ServerGone(f"{address}: {details}", hint=_why_gone(details))
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return NotAllowed(f"{address}: {details}", hint="give the token that the server's owner gave you")
    return RdaqError(f"{address}: {code.name.lower().replace('_', ' ')}: {details}")


def _why_gone(details: str) -> str:
    """What to do next, as far as gRPC's words tell."""
    return next((hint for words, hint in HINTS if words in details), ANY_HINT)


class CallFacts:
    """What both clients know of their calls.

    :param address: for messages.
    :param token: shown at each call.
    :param patience: seconds for which streams try to come back.
    :ivar broken: a call broke, and nobody has looked since whether it is still the same server.
    :ivar renewed: it is another one: what is known of its devices is old.
    """

    def __init__(self, address: str, token: str | None, patience: float) -> None:
        self.address, self.patience = address, patience
        self.metadata = authorization(token)
        self.instance = ""
        self.broken = self.renewed = False

    def met(self, instance: str) -> None:
        """Such a server answered."""
        if self.instance and instance != self.instance:
            self.renewed = True
        self.instance, self.broken = instance, False


class Calls(CallFacts):
    """The calls of a stub, each with the caller's token, and errors in words.

    :param channels: to the service.
    """

    def __init__(self, channels: Channels, address: str, token: str | None, *, patience: float = 60) -> None:
        super().__init__(address, token, patience)
        self.channels = channels
        self._stub: Any = DaqStub(channels.main)  # type: ignore[no-untyped-call]
        self.over = threading.Event()

    def do[T](self, ask: Ask[T], *, timeout: float | None = None) -> T:
        """Ask, and read the answer; again where it only looks.

        :param timeout: seconds; None waits for as long as the other side takes.
        :raises ServerGone: what was asked for may have been done, where it was to change something.
        """
        tries = Backoff(LOOKS_AGAIN)
        while True:
            try:
                if self.broken and not ask.at_once:
                    self.met(self.ask("GetState", _ask.state().request, timeout=LOOKS).instance)
                return ask.read(self.ask(ask.call, ask.request, timeout=timeout))
            except ServerGone:
                self.broken = True
                wait = tries.failed() if ask.again else None
                if wait is None or self.over.wait(wait):
                    raise

    def ask(self, call: str, request: Any, *, timeout: float | None) -> Any:
        """One answer.

        :param timeout: seconds; None waits for as long as the other side takes.
        """
        self.check_open()
        with told(self.address):
            return getattr(self._stub, call)(request, timeout=timeout, metadata=self.metadata)

    def check_open(self) -> None:
        """Whether the client still has its connection.

        :raises ServerGone: it was closed.
        """
        if self.over.is_set():
            raise ServerGone(f"{self.address}: this client was closed", hint="connect anew")

    def follow(self, call: str, request: Any) -> Stream:
        """Many answers, until the other side ends, or the stream is closed."""
        return Stream(self.open(call, request), self.address)

    def open(self, call: str, request: Any) -> Any:
        """A call with many answers."""
        self.check_open()
        with told(self.address):
            return getattr(self._stub, call)(request, metadata=self.metadata)


class Stream:
    """Answers of one call; closing it ends the call."""

    def __init__(self, call: Any, address: str) -> None:
        self._call, self._address, self._closed = call, address, False

    def begun(self) -> None:
        """Wait until the other side has begun."""
        with told(self._address):
            self._call.initial_metadata()

    def __iter__(self) -> Iterator[Any]:
        try:
            with told(self._address):
                yield from self._call
        except RdaqError:
            if not self._closed:
                raise
        finally:
            self.close()

    def close(self) -> None:
        """End the call; who is iterating comes to an end."""
        self._closed = True
        self._call.cancel()
