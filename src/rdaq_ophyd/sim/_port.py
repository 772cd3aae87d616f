"""A simulated instrument on a port that clients open: one thread, true baud rate, faults, a log of every byte."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Self

from rdaq_ophyd.sim._endpoint import Endpoint, PtyEndpoint, TcpEndpoint
from rdaq_ophyd.sim._instrument import Instrument, Reply
from rdaq_ophyd.sim._line import Faults, Line
from rdaq_ophyd.sim._log import ByteLog, Record

logger = logging.getLogger(__name__)

#: Bound on a call into the port's thread and on ending it, s.
CALL_TIMEOUT = 10.0


class Port:
    """Serves ``instrument`` on ``endpoint`` from its own thread until ``close``; a context manager.

    :param baud: bits per second in both directions, ten bits a byte; None lifts the limit.
    :param log_path: file that gets every byte with its time, one JSON object a line.
    :param strict_baud: a client that set another rate than the instrument's sends and reads garbage.
    """

    def __init__(
        self,
        instrument: Instrument,
        endpoint: Endpoint,
        *,
        baud: int | None,
        log_path: Path | str | None = None,
        strict_baud: bool = False,
    ) -> None:
        self.instrument = instrument
        self._endpoint = endpoint
        try:
            self.log = ByteLog(log_path)
        except OSError:
            endpoint.disconnect()
            raise
        self._line = Line(baud)
        self._speed = instrument.baud if strict_baud else None
        self._babble_at = 0.0
        self._calls: deque[Callable[[], None]] = deque()
        self._closing = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(target=self._serve, name=f"sim-{instrument.name}", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What a client opens: a device path or ``socket://host:port``, as pyserial takes it."""
        return self._endpoint.url

    @property
    def faults(self) -> Faults:
        """What is wrong with the line or the instrument's transmitter; assign to change it at once."""
        return self._line.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.call(lambda now: self._line.set_faults(faults, now))

    def babble(self, data: bytes) -> None:
        """Send ``data`` once, unasked."""
        self.call(lambda now: self._line.transmit(Reply(now, data)))

    def disconnect(self) -> None:
        """Pull the cable: an open client gets an I/O error, a new one cannot open. The instrument goes on."""

        def pull(_: float) -> None:
            self._endpoint.disconnect()
            self._line.clear()

        self.call(pull)

    def reconnect(self) -> None:
        """Plug it in again; a pty without a link may come back under another path (see ``url``)."""
        self.call(lambda _: self._endpoint.reconnect())

    def call[T](self, function: Callable[[float], T]) -> T:
        """Run ``function(now)`` in the port's thread, between two bytes, and return its result.

        The way to look at or disturb the instrument while it is served. What a client has sent before is under way by
        then, and with the baud rate lifted it has arrived.

        :raises RuntimeError: the port is closed.
        """
        if self._closing:
            raise RuntimeError(f"the port of {self.instrument.name} is closed")
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function(time.monotonic()))
            except BaseException as error:  # noqa: BLE001 (handed to the caller)
                future.set_exception(error)

        self._calls.append(run)
        self._poke()
        return future.result(CALL_TIMEOUT)

    def close(self) -> None:
        """End the thread, close the port and the log file; harmless when repeated."""
        if self._closing:
            return
        self._closing = True
        self._poke()
        self._thread.join(CALL_TIMEOUT)
        self._endpoint.disconnect()
        self.log.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    def _serve(self) -> None:
        try:
            self._step(time.monotonic())
            while not self._closing:
                self._turn()
        except Exception:
            logger.exception("simulated %s died", self.instrument.name)
            raise

    def _turn(self) -> None:
        """Wait until something is to be done, then do all of it."""
        readers = [] if self._line.full else self._endpoint.readers()
        ready, _, _ = select.select([self._wake_read, *readers], [], [], self._timeout())
        now = time.monotonic()
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        # Taken before the bytes are: who sends something and then calls finds it sent.
        calls = [self._calls.popleft() for _ in range(len(self._calls))]
        for fd in readers if calls else set(ready) & set(readers):
            self._line.receive(self._garbled(self._endpoint.receive(fd)), now)
        self._step(now)
        for call in calls:
            call()
        if calls:
            self._step(now)

    def _timeout(self) -> float | None:
        times = [t for t in (self._line.wake_at(), self.instrument.wake_at(), self._babble_due()) if t is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _step(self, now: float) -> None:
        arrived = self._line.arrived(now)
        self.log.write(Record(int(t * 1e9), "rx", data) for t, data in arrived)
        replies = [reply for t, data in arrived for reply in self.instrument.feed(data, t)]
        for reply in replies + self.instrument.advance(now):
            self._line.transmit(reply)
        if (due := self._babble_due()) is not None and due <= now:
            self._babble_at = now + self.faults.babble_every
            self._line.transmit(Reply(now, self.faults.babble))
        departed = self._line.departed(now)
        self.log.write(Record(time.monotonic_ns(), "tx", data) for data in departed)
        for data in departed:
            self._endpoint.send(self._garbled(data))

    def _babble_due(self) -> float | None:
        return self._babble_at if self.faults.babble else None

    def _garbled(self, data: bytes) -> bytes:
        if self._speed is None or self._endpoint.line_speed() in {None, self._speed}:
            return data
        return bytes(value * 31 % 251 | 0x80 for value in data)


def serve_pty(
    instrument: Instrument,
    *,
    lift_baud: bool = False,
    link: Path | None = None,
    log_path: Path | str | None = None,
    strict_baud: bool = False,
) -> Port:
    """Serve ``instrument`` on a pseudo-terminal at its own baud rate, or without a limit if ``lift_baud``.

    :param link: a symbolic link to keep on the terminal, so that its path survives a disconnect.
    """
    baud = None if lift_baud else instrument.baud
    endpoint = PtyEndpoint(instrument.baud, link)
    return Port(instrument, endpoint, baud=baud, log_path=log_path, strict_baud=strict_baud)


def serve_tcp(instrument: Instrument, *, lift_baud: bool = False, log_path: Path | str | None = None) -> Port:
    """Serve ``instrument`` on a free TCP port of 127.0.0.1, as behind a serial device server."""
    return Port(instrument, TcpEndpoint(), baud=None if lift_baud else instrument.baud, log_path=log_path)
