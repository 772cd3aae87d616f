"""The pipe to the rig, from a script's side: it waits."""

from __future__ import annotations

import select
import socket
from typing import Any

from rdaq_ophyd.scripts._framing import FROM_SCRIPT, HEAD, length, pack, unpack


class Pipe:
    """Frames both ways.

    :param sock: connected to the rig.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(True)
        sock.set_inheritable(False)

    def send(self, **frame: Any) -> None:
        """Send a frame.

        :raises LimitError: it is too large.
        """
        self._socket.sendall(pack(frame, FROM_SCRIPT))

    def receive(self) -> dict[str, Any]:
        """The next frame.

        :raises SystemExit: the rig is gone, or has no more to say.
        """
        return unpack(self._exactly(length(self._exactly(HEAD.size))))

    def has_news(self) -> bool:
        """Whether something is there to be received."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            if not (got := self._socket.recv_into(rest)):
                raise SystemExit("the rig has closed the pipe")
            rest = rest[got:]
        return data
