"""How a client is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

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
PATIENCE = 60.0
"""Seconds for which streams try to come back; a server takes some 20 to start."""


def credentials(certificate: str | Path | None) -> grpc.ChannelCredentials | None:
    """For TLS; None without a certificate.

    :raises RdaqError: the file cannot be read.
    """
    if certificate is None:
        return None
    try:
        return grpc.ssl_channel_credentials(Path(certificate).read_bytes())
    except OSError as error:
        raise RdaqError(f"{certificate}: {error.strerror}", hint="give the file of who signed the server's") from error


def check_patience(seconds: float) -> float:
    """Seconds, or infinity.

    :raises LimitError: below 0, or not a number.
    """
    if not seconds >= 0:
        raise LimitError(f"patience = {seconds:g} s", hint="0 or more; infinity for ever")
    return seconds
