"""bluesky's 0MQ proxy with keys on both sides, and a folder of keys that may change while it runs."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from bluesky.callbacks.zmq import Proxy, ServerCurve
from zmq.auth.thread import ThreadAuthenticator

from rdaq_ophyd.errors import NotAllowed, PublishError

from ._keys import KeyFolder
from ._target import is_local

__all__ = ["DocumentProxy"]
logger = logging.getLogger(__name__)
LOOK_EVERY = 1.0
"""Seconds between two looks at the keys of those who may come in."""
GOODBYE = 1000
"""Milliseconds for what is on the way at the end."""


class DocumentProxy(Proxy):
    """Takes documents on one port and gives them to all who listen at the other.

    bluesky's own (1.15.1) starts an authenticator for each side, of which the second finds the place of the first.

    :param host: address of both ports.
    :param inside: port that rigs publish to.
    :param outside: port that others listen to.
    :param keys: whose keys are asked for on both sides; None: nobody's, on this machine alone.
    :raises NotAllowed: another address than loopback without keys.
    :raises PublishError: a port cannot be had, or a key cannot be read.
    """

    def __init__(self, host: str, inside: int, outside: int, keys: KeyFolder | None = None) -> None:
        if keys is None and not is_local(host):
            raise NotAllowed(
                f"{host} can be reached from other machines",
                hint="make keys with `rdaq documents keys` and give --keys DIR, or listen on 127.0.0.1",
            )
        self._keys = keys
        self._authenticator: ThreadAuthenticator | None = None
        self._ended = threading.Event()
        curve = ServerCurve(keys.secret("proxy"), keys.known, None) if keys else None
        place = f"[{host}]" if ":" in host else host
        try:
            super().__init__(f"{place}:{inside}", f"{place}:{outside}", in_curve=curve, out_curve=curve)
        except (zmq.ZMQError, OSError, ValueError) as error:
            raise PublishError(f"{host}, ports {inside} and {outside}: {error}", hint="are they taken?") from error

    def configure_server_socket(  # type: ignore[override]  # bluesky's is static, and called as a method
        self, ctx: zmq.Context[Any], sock_type: int, address: Any, curve: Any, bind: bool = True
    ) -> tuple[zmq.Socket[Any], str]:
        """A socket, bound; with keys when there are some."""
        del bind
        socket = ctx.socket(sock_type)
        try:
            socket.setsockopt(zmq.IPV6, int("[" in address))
            socket.setsockopt(zmq.LINGER, 0)
            if curve is not None:
                self._admit(ctx)
                socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(curve.secret_path)
                socket.curve_server = True
            socket.bind(f"tcp://{address}")
        except BaseException:
            socket.close(0)
            self._end_authenticator()  # before its context, which bluesky ends now
            raise
        return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _admit(self, context: zmq.Context[Any]) -> None:
        if self._authenticator is None:
            self._authenticator = ThreadAuthenticator(context)
            self._authenticator.start()
            self._learn_keys()

    def _learn_keys(self) -> None:
        if self._authenticator is not None and self._keys is not None:
            self._authenticator.configure_curve(domain="*", location=self._keys.known)

    def _follow_keys(self) -> None:
        seen = self._keys.version() if self._keys else None
        while self._keys and not self._ended.wait(LOOK_EVERY):
            if (version := self._keys.version()) != seen:
                seen = version
                try:
                    self._learn_keys()
                except (OSError, ValueError) as error:
                    logger.error("%s: %s; those who could come in before still can", self._keys.known, error)
                else:
                    logger.warning("%s: may come in now: %s", self._keys.known, ", ".join(self._keys.names()))

    def start(self) -> None:
        """Until it is interrupted by the exception of a signal handler."""
        following = threading.Thread(target=self._follow_keys, name="proxy-keys", daemon=True)
        following.start()
        try:
            zmq.proxy(self._frontend, self._backend)
        finally:
            self.close()
            following.join()

    def close(self) -> None:
        """Give the ports back. Idempotent."""
        self.closed = True
        self._ended.set()
        self._frontend.close(GOODBYE)
        self._backend.close(GOODBYE)
        self._end_authenticator()
        self._context.term()

    def _end_authenticator(self) -> None:
        authenticator, self._authenticator = self._authenticator, None
        if authenticator is not None:
            authenticator.stop()


def keys_in(folder: str | Path) -> KeyFolder:
    """Of a proxy.

    :raises PublishError: there are none.
    """
    found = KeyFolder(Path(folder).expanduser().absolute())
    if not found.secret("proxy").is_file() or not found.known.is_dir():
        raise PublishError(f"{found.path}: no keys of a proxy", hint=f"rdaq documents keys {folder} proxy NAME ...")
    return found
