"""Whatever befalls the line: each request ends exactly once and in time, with its own reply or an error.

Left out are the faults whose bytes no link can tell from a reply: a flipped bit, an echo, and an answer, or a copy of
one, that comes in when the next question has been sent (later than the time-out and ``late`` allow).
"""

from concurrent.futures import Future, wait
from itertools import count

from hypothesis import given, note, settings
from hypothesis import strategies as st
from parts import Echo
from portless import PortlessLink

from rdaq_ophyd.errors import BadReply, LinkClosed, ReplyTimeout
from rdaq_ophyd.link import FaultyLink, Lane, Line

TIMEOUT, LATE, QUIET = 0.01, 0.04, 0.002
HELD_BACK = 0.03
"""Longest delay of an answer, in seconds: beyond the time-out, and within ``LATE`` however late that is noticed."""
SLACK = 20.0
"""Seconds that a busy machine may take on top of what was declared."""

odds = st.sampled_from([0.0, 0.1, 0.4])
harmless = st.fixed_dictionaries(
    {
        "delay": st.sampled_from([(0.0, 0.0), (0.0, HELD_BACK), (TIMEOUT, HELD_BACK)]),
        **dict.fromkeys(("drop", "duplicate", "split", "mute", "disconnect"), odds),
    }
)
anything = st.fixed_dictionaries(
    {
        "delay": st.sampled_from([(0.0, 0.0), (0.0, 3 * (TIMEOUT + LATE))]),
        **dict.fromkeys(("drop", "duplicate", "split", "flip", "echo", "mute", "disconnect"), odds),
    }
)
kinds = ["ask"] * 5 + ["wait"] * 3 + ["share"] * 2 + ["tell", "preempt", "unplug"]
step = st.tuples(st.sampled_from(kinds), st.sampled_from(list(Lane)))
steps = st.lists(step, min_size=5, max_size=25)
names = count()  # no text twice, so that a reply says whose it is


class Requests:
    """What was asked on one link, and what became of it."""

    def __init__(self, link: FaultyLink) -> None:
        self.link = link
        self.asked: list[tuple[bytes, Future[bytes]]] = []
        self.ends: list[bytes] = []
        self.patience = 0.0

    def make(self, kind: str, lane: Lane) -> None:
        """One request; when the port is lost it ends at once, and the port is opened again."""
        text = b"%06d" % next(names)
        try:
            if kind == "unplug":
                self.link.unplug()
                self.link.replug()
            elif kind == "wait":
                self._wait()
            elif kind == "preempt":
                self.link.preempt(b"T" + text + b"\r")
            elif kind == "tell":
                self._note(b"", self.link.submit(b"T" + text + b"\r", reply=False, lane=lane))
            elif kind == "share":
                self._note(b"shared", self.link.submit(b"Qshared\r", lane=lane, who=len(self.asked) % 3, share=True))
            else:
                self._note(text, self.link.submit(b"Q" + text + b"\r", lane=lane, who=len(self.asked) % 3))
        except LinkClosed:
            self.link.open()

    def _note(self, expected: bytes, future: Future[bytes]) -> None:
        future.add_done_callback(lambda _: self.ends.append(expected))
        self.asked.append((expected, future))
        self.patience += TIMEOUT + LATE + QUIET

    def _wait(self) -> None:
        assert not wait([future for _, future in self.asked], self.patience + SLACK).not_done

    def all_ended_once(self) -> None:
        self._wait()
        self.link.close()
        assert sorted(self.ends) == sorted(expected for expected, _ in self.asked)


def run(faults: dict, seed: int, wanted: list[tuple[str, Lane]]) -> Requests:
    inner = PortlessLink(Echo(), reply=Line(b"\r\n"), timeout=TIMEOUT, late=LATE, quiet=QUIET)
    link = FaultyLink(inner, seed, **faults)
    note(repr(link))
    link.open()
    try:
        requests = Requests(link)
        for kind, lane in wanted:
            requests.make(kind, lane)
        requests.all_ended_once()
    finally:
        link.close()
    return requests


@settings(max_examples=60)
@given(faults=harmless, seed=st.integers(0, 2**32), wanted=steps)
def test_no_reply_is_handed_to_another_command(faults: dict, seed: int, wanted: list[tuple[str, Lane]]):
    for expected, future in run(faults, seed, wanted).asked:
        if (error := future.exception(0)) is None:
            assert future.result(0) == expected
        else:
            assert isinstance(error, ReplyTimeout | LinkClosed), error


@settings(max_examples=30)
@given(faults=anything, seed=st.integers(0, 2**32), wanted=steps)
def test_every_request_ends_once_whatever_the_fault(faults: dict, seed: int, wanted: list[tuple[str, Lane]]):
    for _, future in run(faults, seed, wanted).asked:
        error = future.exception(0)
        assert error is None or isinstance(error, ReplyTimeout | LinkClosed | BadReply), error
