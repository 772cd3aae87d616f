"""A TCP proxy on loopback whose connections a test cuts and lets through again."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType


class CutProxy:
    """Connections to ``address`` go to ``target`` (``host:port``), until they are cut.

    Bytes are handed on by one thread. ``cut()`` ends all connections, each with a reset, and refuses new ones;
    ``mend()`` lets new ones through.
    """

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._is_cut = self._over = False
        self.accepted = 0
        self._thread = threading.Thread(target=self._run, name="cut-proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """No connection any more."""
        with self._lock:
            self._is_cut = True
            for one in list(self._pairs):
                self._drop(one)

    def mend(self, target: str | None = None) -> None:
        """From now on there are connections again, to another target where one is given."""
        with self._lock:
            if target is not None:
                host, port = target.rsplit(":", 1)
                self.target = (host, int(port))
            self._is_cut = False

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(1.0):
                with self._lock:
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fileobj is self._woken:
                        self._woken.recv(1)
                    elif key.fileobj in self._pairs:
                        self._hand_on(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        if self._is_cut:
            near.close()
            return
        self.accepted += 1
        try:
            far = socket.create_connection(self.target, 5)
        except OSError:  # nobody is there
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _hand_on(self, one: socket.socket) -> None:
        try:
            data = one.recv(1 << 16)
            if data:
                self._pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for each in filter(None, (one, other)):
            self._pairs.pop(each, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset, as a dead peer's
            each.close()

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._over = True
        self._wake.send(b"x")
        self._thread.join(10)
        for each in (self._listening, self._wake, self._woken):
            each.close()
        self._selector.close()
