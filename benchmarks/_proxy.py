"""A longer line: TCP with a round trip added, and no limit to its rate: ``python -m benchmarks._proxy PORT SECONDS``.

A line holds what is under way and no more. When the far side takes nothing, this one stops reading, as TCP would.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress

from benchmarks._child import Child

PIECE = 256 << 10
"""Bytes that are passed on at once."""
ROOM = 64 << 20
"""Bytes under way in one direction at most: 3 GB/s at a round trip of 40 ms."""
LATE = 2e-3
"""Seconds that a piece waits for the far side before this one stops reading."""


class Line:
    """One direction: what goes in comes out ``delay`` seconds later, in order.

    Its memory is used again, the last piece of it first: ends that are measured on the same processors get the time
    that new memory takes, and the cache.

    :param room: bytes under way at most.
    """

    def __init__(self, source: socket.socket, drain: socket.socket, delay: float, room: int = ROOM) -> None:
        self._source, self._drain, self._delay, self._room = source, drain, delay, room
        self._pieces: deque[tuple[float, memoryview]] = deque()
        self._spare: list[bytearray] = []
        self._under_way, self.most = 0, 0
        self._ended = False
        self._changed = threading.Condition()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._write)]
        for thread in self.threads:
            thread.start()

    def _has_room(self) -> bool:
        if self._ended or not self._pieces:
            return True
        return self._under_way < self._room and self._pieces[0][0] > time.monotonic() - LATE

    def _read(self) -> None:
        with suppress(OSError):  # either side went away: the other is told by the end of the data
            while True:
                with self._changed:
                    memory = self._spare.pop() if self._spare else bytearray(PIECE)
                if not (taken := self._source.recv_into(memory)):
                    break
                due = time.monotonic() + self._delay
                with self._changed:
                    self._pieces.append((due, memoryview(memory)[:taken]))
                    self._under_way += taken
                    self.most = max(self.most, self._under_way)
                    self._changed.notify_all()
                    self._changed.wait_for(self._has_room)
                    if self._ended:
                        return
        with self._changed:
            self._pieces.append((time.monotonic() + self._delay, memoryview(b"")))
            self._changed.notify_all()

    def _write(self) -> None:
        with suppress(OSError):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._pieces)
                    due, data = self._pieces[0]
                if (left := due - time.monotonic()) > 0:
                    time.sleep(left)
                if not data:
                    break
                self._drain.sendall(data)
                with self._changed:
                    self._pieces.popleft()
                    self._under_way -= len(data)
                    self._spare.append(data.obj)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for end, how in ((self._drain, socket.SHUT_WR), (self._source, socket.SHUT_RD)):
            with suppress(OSError):
                end.shutdown(how)


class Proxy:
    """Lines to ``127.0.0.1:port`` for whoever connects to ``self.port``, with a round trip of ``rtt`` seconds more."""

    def __init__(self, port: int, rtt: float) -> None:
        self._target, self._rtt = port, rtt
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        self.lines: list[Line] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target), 10)
                far.settimeout(None)
                self._ends += [near, far]
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.lines += [Line(near, far, self._rtt / 2), Line(far, near, self._rtt / 2)]

    def close(self) -> None:
        """End all of them; bounded."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(10)
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for line in self.lines:
            for thread in line.threads:
                thread.join(10)
        for end in self._ends:
            end.close()


def longer(stack: ExitStack, address: str, rtt: float) -> str:
    """An address by which ``address`` is ``rtt`` seconds of round trip farther away; itself for 0."""
    if not rtt:
        return address
    proxy = stack.enter_context(Child("benchmarks._proxy", address.rpartition(":")[2], str(rtt)))
    return f"127.0.0.1:{proxy.ready}"


def main(port: str, rtt: str) -> None:
    """Until standard input ends."""
    proxy = Proxy(int(port), float(rtt))
    print(json.dumps(proxy.port), flush=True)
    sys.stdin.read()
    proxy.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
