"""Requests to the manager of a queue, by bluesky-queueserver-api; refusals in words."""

from __future__ import annotations

import getpass
import os
from typing import Any

from rdaq_ophyd.errors import QueueError

__all__ = ["CONTROL_PORT", "Control", "address_of"]
CONTROL_PORT = 60615
"""Where queueserver listens unless told otherwise."""
PATIENCE = 5.0
"""Seconds for an answer."""
GROUP = "primary"
"""queueserver's name for the group of everybody."""


def address_of(text: str | None) -> str:
    """``tcp://host:port`` of ``host:port`` or a port; of None: ``$QSERVER_ZMQ_CONTROL_ADDRESS``, else this machine."""
    text = text or os.environ.get("QSERVER_ZMQ_CONTROL_ADDRESS") or str(CONTROL_PORT)
    if text.isdecimal():
        text = f"127.0.0.1:{text}"
    return text if "://" in text else f"tcp://{text}"


class Control:
    """One manager. Use it as a context manager.

    :param address: see :func:`address_of`.
    :param user: who asks, for the record; default: the login name.
    :param group: whose permissions count.
    :param timeout: seconds to wait for an answer.
    """

    def __init__(
        self, address: str | None = None, *, user: str | None = None, group: str = GROUP, timeout: float = PATIENCE
    ) -> None:
        try:
            from bluesky_queueserver_api.zmq import REManagerAPI
        except ImportError:
            raise QueueError("bluesky-queueserver is not installed", hint="pip install 'rdaq-ophyd[queue]'") from None
        self.address = address_of(address)
        self.group = group
        self._api = REManagerAPI(zmq_control_addr=self.address, timeout_recv=timeout, status_expiration_period=0.1)
        self._api.user, self._api.user_group = user or _login(), group

    def ask(self, call: str, *args: Any, **parameters: Any) -> dict[str, Any]:
        """Call a method of ``REManagerAPI``.

        :return: its answer.
        :raises QueueError: nobody answers, or it says no.
        """
        api = self._api
        try:
            answer: dict[str, Any] = getattr(api, call)(*args, **parameters)
        except api.RequestTimeoutError:
            hint = "is `rdaq queue` running there? Another: --control HOST:PORT"
            raise QueueError(f"no queue answers at {self.address}", hint=hint) from None
        except (api.RequestFailedError, api.RequestParameterError) as error:
            raise QueueError(_short(str(error))) from None
        return answer

    def status(self) -> dict[str, Any]:
        """The manager's status, asked now."""
        return self.ask("status", reload=True)

    def close(self) -> None:
        """End the connection. Idempotent."""
        self._api.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _login() -> str:
    try:
        return os.environ.get("RDAQ_OPERATOR") or getpass.getuser()
    except OSError:  # a user id without a name (containers)
        return f"uid-{os.getuid()}"


def _short(text: str) -> str:
    """Without what was sent, and where pydantic has a page about it."""
    text = text.removeprefix("Request failed: ").partition("\nPlan:")[0].removesuffix("\n")
    return "\n".join(line for line in text.split("\n") if "errors.pydantic.dev" not in line)
