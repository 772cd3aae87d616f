"""Calls, and the errors of the other side as exceptions of this one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from rdaq_ophyd.errors import NotAllowed, RdaqError, ServerGone
from rdaq_ophyd.wire import ERROR_KEY, error_from, messages


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
        return ServerGone(f"{address}: {details}", hint="is `rdaq serve` running there, and the address right?")
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return NotAllowed(f"{address}: {details}", hint="give the token that the server's owner gave you")
    return RdaqError(f"{address}: {code.name.lower().replace('_', ' ')}: {details}")


class Calls:
    """The calls of a stub, each with the caller's token, and errors in words.

    :param stub: of the service.
    :param address: for messages.
    :param token: shown at each call.
    """

    def __init__(self, stub: Any, address: str, token: str | None) -> None:
        self._stub, self.address = stub, address
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def ask(self, call: str, request: Any, *, timeout: float | None) -> Any:
        """One answer.

        :param timeout: seconds; None waits for as long as the other side takes.
        """
        with told(self.address):
            return getattr(self._stub, call)(request, timeout=timeout, metadata=self.metadata)

    def follow(self, call: str, request: Any) -> Stream:
        """Many answers, until the other side ends, or the stream is closed."""
        with told(self.address):
            return Stream(getattr(self._stub, call)(request, metadata=self.metadata), self.address)


class Stream:
    """Answers one after another; closing it ends the call."""

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
