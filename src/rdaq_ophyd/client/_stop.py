"""One stop, and nothing before it: for whoever only stops, and must get through."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from rdaq_ophyd.errors import LimitError, RdaqError, ServerGone
from rdaq_ophyd.wire import messages

from . import _ask
from ._backoff import Backoff
from ._call import Calls
from ._channel import Channels, credentials

LONGEST = 3600.0
"""Seconds to wait for verdicts."""
HOPELESS = (
    "errors resolving",
    "CERTIFICATE_VERIFY_FAILED",
    "Hostname Verification",
    "WRONG_VERSION_NUMBER",
    "http1.x server",
)
"""In what gRPC says of a connection: somebody else listens there, and trying again finds the same."""
LISTENS = 1.0
"""Seconds for a look whether anybody listens."""


def _nobody(_trouble: str) -> None:
    """Tell nobody."""


def stop_there(
    address: str,
    reason: str = "",
    *,
    token: str | None = None,
    certificate: str | Path | None = None,
    timeout: float = 30.0,
    tell: Callable[[str], object] = _nobody,
) -> messages.StopReport:
    """Stop everything at a server over a connection of its own, without any other call.

    Tried again while the server takes no connection, because others have all of them. To stop twice is no harm.

    :param address: ``host:port``; ``token`` and ``certificate`` as for ``connect``.
    :param timeout: seconds, above 0, up to 3600, until the verdicts must be there.
    :param tell: called with what is wrong when the first try fails, and others follow.
    :return: a verdict for each device.
    :raises ServerGone: nothing answers there.
    :raises NotAllowed: the token is not known.
    :raises LimitError: the time or the port is none.
    :raises RdaqError: there was no answer in time: nothing is confirmed.
    """
    if not 0 < timeout <= LONGEST:
        raise LimitError(f"timeout = {timeout:g} s", hint=f"above 0, up to {LONGEST:g} s")
    end = time.monotonic() + timeout
    channels = Channels(address, credentials(certificate))
    try:
        return _tried(Calls(channels, address, token), _ask.stop_all(reason).request, end, timeout, tell)
    finally:
        channels.close()


def _tried(
    calls: Calls, request: Any, end: float, timeout: float, tell: Callable[[str], object]
) -> messages.StopReport:
    tries, told = Backoff(math.inf), False
    while True:
        try:
            report: messages.StopReport = calls.ask("StopAll", request, timeout=max(0.0, end - time.monotonic()))
            return report
        except RdaqError as error:
            left = end - time.monotonic()
            if left <= 0 or _late(error):
                raise RdaqError(
                    f"{calls.address} did not answer within {timeout:g} s; nothing is confirmed",
                    hint="`rdaq stop` on that machine, or the instruments' own stops",
                ) from error
            if not _may_get_through(error, calls.address, min(LISTENS, left)):
                raise
            if not told:
                told = True
                tell(str(error))
            calls.over.wait(min(tries.failed() or 0.0, left))


def _late(error: RdaqError) -> bool:
    cause = error.__cause__
    return isinstance(cause, grpc.RpcError) and _code(cause) is grpc.StatusCode.DEADLINE_EXCEEDED


def _may_get_through(error: RdaqError, address: str, seconds: float) -> bool:
    """Whether another try might: the connection failed, or gRPC itself had too much to do."""
    cause = error.__cause__
    if isinstance(error, ServerGone):
        if any(words in str(error) for words in HOPELESS):
            return False
        return "Connection refused" not in str(error) or _listens(address, seconds)
    return isinstance(cause, grpc.RpcError) and "pending requests" in str(error)


def _listens(address: str, seconds: float) -> bool:
    """Of a name with several addresses gRPC tells of one, which may be the one that nobody listens on."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except (OSError, ValueError):
        return False
    return True


def _code(error: Any) -> grpc.StatusCode | None:
    code: grpc.StatusCode | None = error.code()
    return code
