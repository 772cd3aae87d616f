"""One acquisition of a camera: the thread between its driver and the sink."""

from __future__ import annotations

import threading
from typing import NamedTuple

from rdaq_ophyd.streams import Acquisition

from ._driver import CameraDriver, CountsLosses
from ._records import FrameRecord
from ._sink import FrameSink
from ._statistics import Statistics, frame_statistics
from ._tap import FanOut
from ._words import WORDS

# How long the acquisition thread waits for a frame before it looks whether it should stop, s.
_POLL = 0.02
# A buffer that is out for longer is named in a warning, s.
_OVERDUE = 10.0


class Latest(NamedTuple):
    """The frame taken last, and how many the camera lost just before it."""

    statistics: Statistics
    host_time: float
    lost: int


class Generation(Acquisition[Latest]):
    """Takes ``count`` frames (0: until halted) from the driver into the sink.

    :param number: of the generation that they belong to.
    :param period: seconds from frame to frame, 0 for as fast as the camera can.
    :param base: frames that the camera has counted before, for the same file.
    :param interrupting: held while the wait for a frame is broken off, of this one or of the one before.
    :ivar expected: frames that it has counted in this one.
    :ivar missing: of those that it lost, the ones after the last that came.
    """

    def __init__(
        self,
        driver: CameraDriver,
        sink: FrameSink,
        fan: FanOut,
        number: int,
        count: int,
        period: float,
        base: int,
        interrupting: threading.Lock,
    ) -> None:
        super().__init__("frames-camera", driver.label, WORDS, count)
        self.driver, self.sink, self.fan = driver, sink, fan
        self.number, self.period, self.base = number, period, base
        self._interrupting = interrupting
        self.expected = self.missing = 0

    def _take(self) -> None:
        with self._interrupting:  # what is late for the one before would stop this one
            if not self._wanted():
                return
        self.driver.start(self.period)
        self.started.set_result(None)
        try:
            while self._wanted():
                self._next()
        finally:
            self.driver.stop()

    def _ended(self) -> None:
        self._note_missing()
        self.expected += self.missing

    def _note_missing(self) -> None:
        if isinstance(self.driver, CountsLosses):
            missing = self.driver.lost_after_last()
            self.sink.lost += missing - self.missing
            self.missing = missing

    def _next(self) -> None:
        self.driver.book.warn_overdue(_OVERDUE)
        ref = self.driver.next_frame(_POLL)
        if ref is None:
            self._note_missing()
            return
        try:
            lost = ref.sequence - self.expected
            self.sink.lost += lost - self.missing
            self.expected, self.missing = ref.sequence + 1, 0
            latest = Latest(frame_statistics(ref.array), ref.host_time, lost)
            number, exposure = self.base + ref.sequence, self.driver.exposure()
            record = FrameRecord(ref, latest.statistics, number, exposure, lost=lost)
            self.fan.offer(ref, self.base)
        except BaseException:
            ref.release()
            raise
        self._note(self.sink.put(record, self.number, self.halt), latest)
