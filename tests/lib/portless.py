"""A link to a simulated instrument without a port between them: an answer is there as soon as the command is written.

For tests of what follows from time-outs, which a busy machine must not cause.
"""

import threading
import time

from rdaq_ophyd.link import Link
from rdaq_ophyd.sim import Instrument


class PortlessLink(Link):
    """Closing it loses what was on its way, as with a socket.

    :ivar heard: all that the instrument got.
    """

    def __init__(self, instrument: Instrument, **options):
        super().__init__("portless", **options)
        self.instrument, self.heard = instrument, bytearray()
        self._arrived, self._news = bytearray(), threading.Condition()

    def _open(self) -> None:
        self._arrived.clear()

    def _shut(self) -> None:
        pass

    def _write(self, data: bytes) -> None:
        with self._news:
            self.heard += data
            for reply in self.instrument.feed(data, time.monotonic()):
                self._arrived += reply.data
            self._news.notify_all()

    def _read(self, seconds: float) -> bytes:
        with self._news:
            self._news.wait_for(lambda: self._arrived, seconds)
            data = bytes(self._arrived)
            self._arrived.clear()
            return data
