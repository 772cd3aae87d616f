"""Requests to the manager of a queue, by queueserver's own client; refusals in words."""

from __future__ import annotations

import getpass
import os
import re
from typing import Any

from rdaq_ophyd.errors import QueueError

__all__ = ["CONTROL_PORT", "Control", "address_of"]
CONTROL_PORT = 60615
"""Where queueserver listens unless told otherwise."""
ADDRESS = re.compile(r"tcp://(\[[^\]\s]+\]|[^\s:/\[\]]+):\d{1,5}|ipc://\S+")
KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
"""Of CURVE as text, Z85."""
PATIENCE = 5.0
"""Seconds for an answer."""
#: Methods that want to know who asks.
WHO = {
    "devices_allowed": ["user_group"],
    "plans_allowed": ["user_group"],
    "queue_item_add": ["user", "user_group"],
    "queue_item_execute": ["user", "user_group"],
}
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
    :raises QueueError: queueserver is not installed, or there is no such address or key.
    """

    def __init__(
        self, address: str | None = None, *, user: str | None = None, group: str = GROUP, timeout: float = PATIENCE
    ) -> None:
        try:
            from bluesky_queueserver import ZMQCommSendThreads
        except ImportError:
            raise QueueError("bluesky-queueserver is not installed", hint="pip install 'rdaq-ophyd[queue]'") from None
        self.address = address_of(address)
        self._who = {"user": user or _login(), "user_group": group}
        key = os.environ.get("QSERVER_ZMQ_PUBLIC_KEY")
        if not ADDRESS.fullmatch(self.address):
            raise QueueError(f"{self.address!r} is no address of a queue", hint="give --control HOST:PORT")
        if key and not KEY.fullmatch(key):
            raise QueueError("$QSERVER_ZMQ_PUBLIC_KEY is no key", hint="give the manager's, of 40 characters")
        self._client = ZMQCommSendThreads(
            zmq_server_address=self.address, timeout_recv=int(timeout * 1000), server_public_key=key
        )

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the manager; who asks is added where it wants to know.

        :param method: as in the reference of queueserver's API, such as ``queue_item_add``.
        :return: its answer.
        :raises QueueError: nobody answers, or it says no.
        """
        from bluesky_queueserver import CommTimeoutError

        who = {key: value for key, value in self._who.items() if key in WHO.get(method, ())}
        try:
            answer: dict[str, Any] = self._client.send_message(method=method, params={**who, **parameters})
        except CommTimeoutError:
            hint = "is `rdaq queue` running there? Another: --control HOST:PORT"
            raise QueueError(f"no queue answers at {self.address}", hint=hint) from None
        if not answer.get("success", True):
            raise QueueError(_short(answer.get("msg") or f"{method}: no"))
        return answer

    def status(self) -> dict[str, Any]:
        """The manager's status."""
        return self.ask("status")

    def close(self) -> None:
        """End the connection. Idempotent."""
        client = self._client
        client.close()
        client._zmq_receive_thread.join(PATIENCE)
        client._ctx.destroy(linger=0)  # it leaves that to the garbage collector, which complains

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
    text = text.partition("\nPlan:")[0]
    return "\n".join(line for line in text.split("\n") if "errors.pydantic.dev" not in line)
