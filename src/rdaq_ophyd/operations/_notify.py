"""What a service manager is told: one datagram to ``$NOTIFY_SOCKET`` (sd_notify(3)); without one, nothing."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

logger = logging.getLogger(__name__)


class Notifier:
    """systemd, or whoever else started this process and listens.

    :param environment: this process's unless given.
    :ivar every: seconds between two signs of life; None: nobody wants any.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = os.environ if environment is None else environment
        self._address = found.get("NOTIFY_SOCKET", "")
        self.every = _half_of(found) if self._address else None
        self._out: socket.socket | None = None
        if self._address:
            # Kept: a sign of life must not fail because this process has no file descriptor left.
            self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))
            self._out.setblocking(False)

    def __bool__(self) -> bool:
        """Whether somebody listens."""
        return bool(self._address)

    def tell(self, **said: object) -> None:
        """Say something: ``tell(READY=1, STATUS="idle")``. Nobody must fail because a manager does not listen."""
        if self._out is None:
            return
        text = "\n".join(f"{key}={_one_line(value)}" for key, value in said.items())
        # "@" stands for the null byte of Linux' abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._out.sendto(text.encode(), address)
        except OSError as error:
            logger.warning("the service manager was not told %r: %s", text, error)

    def close(self) -> None:
        """Say no more. Idempotent."""
        if self._out is not None:
            self._out.close()
            self._out = None


def _half_of(environment: Mapping[str, str]) -> float | None:
    """Half of the time after which the manager gives this process up, as sd_watchdog_enabled(3) advises."""
    pid = environment.get("WATCHDOG_PID")
    if pid and pid != str(os.getpid()):
        return None
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 2e6 if microseconds > 0 else None


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
