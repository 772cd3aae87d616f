"""The peer: a driver that guards its port with a lock that every consumer takes, in the variants people write."""

from __future__ import annotations

import asyncio
import os

import serial


class LockedPort:
    """One ``asyncio.Lock``, which is fair: first come, first served.

    :param url: a pseudo-terminal or serial device.
    :param flag: consumers look at a flag before they write, and give way while it is set.
    :param flush: input that arrived is dropped before each command.
    :param shield: an exchange that began runs to its end, also when its task is cancelled.
    :param timeout: seconds for a reply.
    """

    def __init__(
        self, url: str, *, flag: bool = False, flush: bool = False, shield: bool = False, timeout: float = 0.5
    ) -> None:
        self.timeout = timeout
        self._flag, self._flush, self._shield = flag, flush, shield
        self._port = serial.Serial(url, 19_200, timeout=0, write_timeout=1, exclusive=True)
        self._fd = self._port.fileno()
        self._lock = asyncio.Lock()
        self._buffer = b""
        self._arrived = asyncio.Event()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        self._buffer += os.read(self._fd, 4096)
        self._arrived.set()

    async def ask(self, command: bytes) -> bytes:
        """One exchange under the lock."""
        if self._shield:
            return await asyncio.shield(asyncio.ensure_future(self._exchange(command)))
        return await self._exchange(command)

    async def _exchange(self, command: bytes) -> bytes:
        while True:
            async with self._lock:
                if not self._stopping:
                    if self._flush:
                        self._port.reset_input_buffer()
                        self._buffer = b""
                    os.write(self._fd, command)
                    return await asyncio.wait_for(self._line(), self.timeout)
            await asyncio.sleep(0.001)

    async def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._arrived.clear()
            await self._arrived.wait()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    async def stop(self, command: bytes) -> None:
        """Write the stop when it is our turn."""
        self._stopping = self._flag
        async with self._lock:
            os.write(self._fd, command)

    def go_on(self) -> None:
        """After a stop: exchanges are welcome again."""
        self._stopping = False

    def close(self) -> None:
        """Close the port; in the loop's thread."""
        self._loop.remove_reader(self._fd)
        self._port.close()
