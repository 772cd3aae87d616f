"""How a client is connected."""

from __future__ import annotations

import re
import ssl
import weakref
from pathlib import Path
from typing import Any

import grpc
from grpc.experimental import ChannelOptions

from rdaq_ophyd.errors import LimitError, RdaqError

LARGEST_REPLY = 80 << 20
"""Bytes; an array of a signal may have 64 MiB."""
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", LARGEST_REPLY),
    # gRPC's own waits between two tries to connect grow to two minutes; milliseconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A line that is cut says nothing: asked every 20 s, given up 10 s later.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Else a second client of the same address shares the connection, and its waits.
    ("grpc.use_local_subchannel_pool", 1),
]
LONE_OPTIONS = [*OPTIONS, (ChannelOptions.SingleThreadedUnaryStream, 1)]
"""Of a connection whose streams are read by the thread that iterates: a message wakes no other one first."""
PORT = re.compile(r"(?:^|/)(?:\[[^]]*\]|[^][:/]*):([+-]?[0-9]+)$")
"""Of ``host:port`` and ``[address]:port``, also behind ``dns:///``."""
HOST = re.compile(r"(\[[\w:.%-]+\]|[^\s:/\[\]\ud800-\udfff]+)(:[+-]?[0-9]+)?")
SCHEME = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):(?![0-9]+$)")
"""Of gRPC's targets; behind a host's name of these letters a port would follow."""
TOKEN = re.compile(r"[!-~]{1,4096}")
PATIENCE = 60.0
"""Seconds for which streams try to come back; a server takes some 20 to start."""


def check_address(address: str) -> None:
    """Refuse what is no address, and a port that there is none of: gRPC would take the rest of a division.

    :raises LimitError: it is no host with a port from 1 to 65535, nor a target that gRPC has a scheme for.
    """
    hint = "give host:port, the first line that `rdaq serve` prints"
    if address.lower().startswith(("http://", "https://")):
        raise LimitError(f"{address} is the address of a page", hint=hint)
    if not SCHEME.match(address) and not HOST.fullmatch(address):
        raise LimitError(f"{address!r} is no address of a server", hint=hint)
    found = PORT.search(address)
    if found and not 1 <= int(found[1]) <= 65535:
        raise LimitError(f"{address}: there is no port {found[1]}", hint="give host:port, 1 to 65535")


def authorization(token: str | None) -> tuple[tuple[str, str], ...]:
    """What a call shows; nothing without a token.

    :raises LimitError: no token is written so; it is not said how, since others may see it.
    """
    if not token:
        return ()
    if not TOKEN.fullmatch(token):
        raise LimitError("this is no token", hint="one word of ASCII, as the server's owner gave it to you")
    return (("authorization", f"Bearer {token}"),)


def credentials(certificate: str | Path | None) -> grpc.ChannelCredentials | None:
    """For TLS; None without a certificate.

    :raises RdaqError: the file cannot be read, or has no certificate; gRPC would say so when it connects, and to
        standard error alone.
    """
    if certificate is None:
        return None
    hint = "give the file of who signed the server's, in PEM"
    try:
        text = Path(certificate).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError as error:  # an OSError, too
        raise RdaqError(f"{certificate}: this is no certificate", hint=hint) from error
    except OSError as error:
        raise RdaqError(f"{certificate}: {error.strerror}", hint=hint) from error
    return grpc.ssl_channel_credentials(text)


class Channels:
    """The connections of a client that waits: one for everything, and one of its own for each stream of samples.

    :param secure: for TLS.
    :raises LimitError: there is no such port.
    """

    def __init__(self, address: str, secure: grpc.ChannelCredentials | None) -> None:
        check_address(address)
        self._address, self._secure = address, secure
        self._lone: weakref.WeakSet[grpc.Channel] = weakref.WeakSet()
        self.main = self._opened(OPTIONS)

    def lone(self) -> grpc.Channel:
        """For one stream whose messages come often: they do not wait behind frames. To be closed with the stream."""
        channel = self._opened(LONE_OPTIONS)
        self._lone.add(channel)
        return channel

    def _opened(self, options: list[tuple[str, Any]]) -> grpc.Channel:
        if self._secure is None:
            return grpc.insecure_channel(self._address, options)
        return grpc.secure_channel(self._address, self._secure, options)

    def close(self) -> None:
        """End them, and all calls on them."""
        for channel in (self.main, *self._lone):
            channel.close()


def over(call: Any) -> None:
    """End a call of a lone connection, in the thread that reads it.

    gRPC (1.85) takes the last events of such a call only while it is iterated, which a cancelled one is not; with them
    it would keep its connection for ever.
    """
    call.cancel()
    while call._state.due:
        call._consume_next_event()


def check_patience(seconds: float) -> float:
    """Seconds, or infinity.

    :raises LimitError: below 0, or not a number.
    """
    if not seconds >= 0:
        raise LimitError(f"patience = {seconds:g} s", hint="0 or more; infinity for ever")
    return seconds
