"""Whose clock is wrong is told only when several answers agree: a busy server dates its answers late."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from rdaq_ophyd.catalog._check import _check_clock
from rdaq_ophyd.catalog._clocks import LARGEST_SKEW, LOOKS, Clocks, clock_skew

#: 100 s since the epoch.
ANSWER = httpx.Response(200, headers={"date": "Thu, 01 Jan 1970 00:01:40 GMT"})


@pytest.mark.parametrize(
    ("before", "after", "skew"), [(100.2, 100.3, 0.0), (90.0, 95.0, 5.0), (104.0, 104.1, -3.0), (99.5, 101.5, 0.0)]
)
def test_what_a_time_in_whole_seconds_can_tell(before: float, after: float, skew: float) -> None:
    assert clock_skew(ANSWER, before, after) == pytest.approx(skew)


def test_a_server_that_tells_no_time() -> None:
    assert clock_skew(httpx.Response(200), 0.0, 1.0) is None
    assert clock_skew(httpx.Response(200, headers={"date": "yesterday"}), 0.0, 1.0) is None


def heard(*befores: float) -> Clocks:
    """An answer each, asked at these times."""
    clocks = Clocks()
    for before in befores:
        clocks.hear(ANSWER, before, before + 0.1)
    return clocks


@pytest.mark.parametrize("before", [104.0, 96.0])
def test_clocks_differ_when_all_of_the_last_answers_say_so(before: float) -> None:
    assert heard(before).doubtful
    assert not heard(before).differ
    clocks = heard(*[before] * LOOKS)
    assert clocks.differ
    assert not clocks.doubtful
    assert abs(clocks.skew) > LARGEST_SKEW


def test_one_answer_that_is_dated_right_is_enough_that_they_agree() -> None:
    """Late ones before and after it are those of a busy server."""
    clocks = heard(104.0, 105.0, 100.5, 106.0, 107.0)
    assert clocks.skew == 0.0
    assert not clocks.differ
    assert not clocks.doubtful


def test_a_clock_that_goes_wrong_later_is_noticed() -> None:
    clocks = heard(100.5, *[107.0] * (LOOKS - 1))
    assert not clocks.differ
    clocks.hear(ANSWER, 107.0, 107.1)
    assert clocks.differ


def test_what_a_server_without_a_time_told_earlier_counts_no_more() -> None:
    clocks = heard(*[104.0] * LOOKS)
    clocks.hear(httpx.Response(200), 104.0, 104.1)
    assert clocks.skew is None
    assert not clocks.differ
    assert not clocks.doubtful


class Server:
    """Answers with these times, where it is 10.5 s since the epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *dates: int) -> None:
        self._dates = iter(dates)
        clock = SimpleNamespace(time=lambda: 10.5, sleep=lambda _seconds: None)
        monkeypatch.setattr("rdaq_ophyd.catalog._check.time", clock)

    def get(self, _path: str) -> httpx.Response:
        date = next(self._dates, None)
        if date is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, headers={"date": f"Thu, 01 Jan 1970 00:00:{date:02} GMT"})


@pytest.mark.parametrize(
    ("dates", "status", "said"),
    [
        ((10,), "ok", "agrees within 2 s"),
        ((6, 6, 9), "ok", "agrees within 2 s"),
        ((6, 5, 6, 4, 6), "failed", "is 4 s behind this machine's"),
        ((16, 15, 16, 14, 16), "failed", "is 4 s ahead of this machine's"),
        ((6, 6), "skipped", "does not answer any more: refused"),
    ],
)
def test_the_check_asks_again_before_it_says_so(monkeypatch, dates, status: str, said: str) -> None:
    server, clocks = Server(monkeypatch, *dates[1:]), Clocks()
    clocks.hear(httpx.Response(200, headers={"date": f"Thu, 01 Jan 1970 00:00:{dates[0]:02} GMT"}), 10.5, 10.5)
    line = str(_check_clock(server, clocks))
    assert line.startswith(status)
    assert said in line
