"""What came in while the link's thread had no turn: answers in time count, late ones are dropped."""

import time

from parts import Echo
from portless import PortlessLink

from rdaq_ophyd.errors import ReplyTimeout
from rdaq_ophyd.link import Line


class Sleepy(PortlessLink):
    """While the link waits for silence, its thread sleeps through the end of that, and the answer comes meanwhile."""

    late_answer = b""

    def _read(self, seconds: float) -> bytes:
        data = super()._read(seconds)
        if self.late_answer and self.statistics.resyncs and not data:
            time.sleep(seconds + 0.03)
            self._arrived += self.late_answer
            self.late_answer = b""
        return data


def test_an_answer_that_came_while_the_thread_slept_is_not_the_next_ones():
    link = Sleepy(Echo(), reply=Line(b"\r\n"), timeout=5.0, late=0.02, quiet=0.001)
    link.open()
    try:
        mute = link.submit(b"Tmute\r", timeout=0.01)
        link.late_answer = b"late\r\n"
        assert isinstance(mute.exception(10), ReplyTimeout)
        assert link.submit(b"Qnext\r").result(10) == b"next"
        assert [entry.data for entry in link.trace() if entry.kind == "drop"] == [b"late\r\n"]
    finally:
        link.close()


class Dozing(PortlessLink):
    """Its thread falls asleep after each command, while the answer comes."""

    def _write(self, data: bytes) -> None:
        super()._write(data)
        time.sleep(0.03)


def test_an_answer_that_came_in_time_counts_however_late_it_is_seen():
    link = Dozing(Echo(), reply=Line(b"\r\n"), timeout=0.01)
    link.open()
    try:
        assert link.submit(b"Qa\r").result(10) == b"a"
        assert isinstance(link.submit(b"Tmute\r").exception(10), ReplyTimeout)
    finally:
        link.close()
