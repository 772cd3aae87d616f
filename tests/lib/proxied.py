"""bluesky's own 0MQ proxy and a dispatcher of its own, as processes and threads that end with the block."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import zmq
from bluesky.callbacks.zmq import RemoteDispatcher

PROGRAM = "from bluesky.commandline.zmq_proxy import main; main()"


@contextlib.contextmanager
def proxy(inside: int, outside: int, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """``bluesky-0MQ-proxy`` on these ports of 127.0.0.1."""
    addresses = ["--in-address", f"127.0.0.1:{inside}", "--out-address", f"127.0.0.1:{outside}"]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *addresses, *words], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Listener:
    """What a dispatcher of bluesky hears, from the moment on when something came through."""

    def __init__(self, outside: int, **more: Any) -> None:
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self._dispatcher = RemoteDispatcher(("127.0.0.1", outside), **more)
        self._dispatcher.subscribe(lambda name, document: self.documents.append((name, document)))
        self._thread = threading.Thread(target=self._run, name="listener")

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # the way in which bluesky's dispatcher ends
            self._dispatcher.start()

    def names(self) -> list[str]:
        return [name for name, _ in self.documents]

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._dispatcher.loop.call_soon_threadsafe(lambda: self._dispatcher._task.cancel())
        self._thread.join(10)


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it holds; bounded."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never"
        time.sleep(0.005)


class Stuck:
    """A proxy that subscribes to all and then takes nothing, with little room; ``drain`` makes it take again."""

    def __init__(self, port: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 1)
        self._socket.setsockopt(zmq.RCVBUF, 4096)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.bind(f"tcp://127.0.0.1:{port}")

    def listen(self) -> None:
        """Until something is there: a socket subscribes when somebody looks at it."""
        assert self._socket.poll(20_000)

    def drain(self) -> int:
        """What came, until nothing more does."""
        taken = 0
        while self._socket.poll(300):
            self._socket.recv()
            taken += 1
        return taken

    def __enter__(self) -> Stuck:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(0)
        self._context.term()
