"""To a 0MQ proxy, by bluesky's publisher."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import zmq
import zmq.auth
from bluesky.callbacks.zmq import ClientCurve, Publisher

from rdaq_ophyd.errors import PublishError

from ._serializers import SERIALIZERS
from ._target import ZmqTarget

__all__ = ["ZmqWire", "check_keys"]
MOST_ON_THE_WAY = 256
"""Messages in 0MQ's own queue: as many are lost uncounted when a proxy dies."""
SENDS = 1000
"""Milliseconds for one document."""
BEATS = (2000, 6000)
"""Milliseconds between two signs of life, and after which a proxy without any counts as gone."""
COMES_BACK = (100, 2000)
"""Milliseconds between two attempts to connect, at first and at most."""
ANEW = 10.0
"""Seconds without a proxy after which the connection is made anew: 0MQ never asks again where its key was refused."""


class _Heard(Publisher):
    """bluesky's (1.15), with a socket that knows whether a proxy listens, and never drops in silence.

    A PUB socket drops what nobody has asked for and what does not fit. XPUB is the same on the wire; it hands over what
    the other side subscribes to, and with ``XPUB_NODROP`` says when it is full.
    """

    def __init__(self, address: str, *, curve_config: ClientCurve | None, **more: Any) -> None:
        super().__init__(address, curve_config=curve_config, **more)
        self._socket.close(0)
        self._socket = socket = self._context.socket(zmq.XPUB)
        options = {
            zmq.SNDHWM: MOST_ON_THE_WAY,
            zmq.SNDTIMEO: SENDS,
            zmq.XPUB_NODROP: 1,
            zmq.IMMEDIATE: 1,  # else what a lost proxy subscribed to would count as still asked for
            zmq.LINGER: 0,
            zmq.HEARTBEAT_IVL: BEATS[0],
            zmq.HEARTBEAT_TIMEOUT: BEATS[1],
            zmq.HANDSHAKE_IVL: BEATS[1],
            zmq.RECONNECT_IVL: COMES_BACK[0],
            zmq.RECONNECT_IVL_MAX: COMES_BACK[1],
            zmq.IPV6: 1,
        }
        for option, value in options.items():
            socket.setsockopt(option, value)
        if curve_config is not None:
            socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(curve_config.secret_path)
            socket.curve_serverkey, _ = zmq.auth.load_certificate(curve_config.server_public_key)
        socket.connect(self.address)
        self.listeners = 0

    def hear(self) -> None:
        """Take what the other side has said."""
        while self._socket.poll(0, zmq.POLLIN):
            said = self._socket.recv(zmq.DONTWAIT)
            self.listeners += {1: 1, 0: -1}.get(said[0], 0) if said else 0

    def connect_anew(self) -> None:
        """As if it had just begun."""
        self._socket.disconnect(self.address)
        self._socket.connect(self.address)

    def end(self, milliseconds: int) -> None:
        """Close it, with so much time for what is on the way."""
        self._socket.setsockopt(zmq.LINGER, milliseconds if self.listeners > 0 else 0)
        self.close()


def check_keys(target: ZmqTarget) -> None:
    """Look into the files before anything is opened.

    :raises PublishError: one is no certificate of 0MQ, or the own one has no secret key.
    """
    for path, secret in ((target.secret_key, True), (target.server_key, False)):
        if path is None:
            continue
        try:
            found = zmq.auth.load_certificate(path)
        except (OSError, ValueError) as error:
            raise PublishError(f"{path}: {error}", hint="`rdaq documents keys DIR` makes such files") from error
        if secret and found[1] is None:
            raise PublishError(f"{path} holds no secret key", hint=f"is it {path.with_suffix('.key_secret')}?")


class ZmqWire:
    """See :class:`rdaq_ophyd.publish._publishing.Wire`.

    :param target: whereto, and how.
    """

    def __init__(self, target: ZmqTarget) -> None:
        curve = None
        if target.secret_key and target.server_key:
            curve = ClientCurve(target.secret_key, target.server_key)
        self._publisher = _Heard(
            target.address,
            prefix=target.prefix.encode(),
            serializer=SERIALIZERS[target.serializer],
            curve_config=curve,
        )
        self._full = False
        self._heard_at = time.monotonic()

    def ready(self) -> bool:
        """Whether a proxy has subscribed."""
        self._publisher.hear()
        now, listens = time.monotonic(), self._publisher.listeners > 0
        if listens:
            self._heard_at = now
        elif now > self._heard_at + ANEW:
            self._heard_at = now
            self._publisher.connect_anew()
        return listens

    def send(self, name: str, document: Mapping[str, Any]) -> bool:
        """False when the proxy does not take more: after the first time, without a wait."""
        try:
            self._publisher(name, dict(document))
        except zmq.Again:
            self._wait(0)
            return False
        if self._full:
            self._wait(SENDS)
        return True

    def _wait(self, milliseconds: int) -> None:
        self._full = milliseconds == 0
        self._publisher._socket.setsockopt(zmq.SNDTIMEO, milliseconds)

    def lost(self) -> int:
        """0MQ acknowledges nothing."""
        return 0

    def close(self, seconds: float) -> None:
        """End it within that time."""
        self._publisher.end(int(seconds * 1000))
