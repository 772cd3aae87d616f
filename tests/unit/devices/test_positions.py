"""Positions with times: what is between them is told, what is outside is not guessed."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.devices._positions import Positions, Track, event_page
from rdaq_ophyd.errors import LimitError

numbers = st.floats(-1e3, 1e3)


def taken(times, places) -> Positions:
    return Positions(np.array(times), np.array(places), np.zeros(len(times)))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20, unique=True).map(sorted), numbers, numbers)
def test_of_a_uniform_motion_every_place_is_told(times, offset, speed):
    positions = taken([float(t) for t in times], [offset + speed * t for t in times])
    wanted = np.linspace(times[0], times[-1], 7)
    assert positions.at(wanted) == pytest.approx(offset + speed * wanted, abs=1e-6)
    assert positions.at(wanted.reshape(7, 1)).shape == (7, 1)
    assert float(positions.at(times[0])) == pytest.approx(offset + speed * times[0])


@pytest.mark.parametrize("bad", [0.999, 3.001, np.nan, np.inf, [2.0, 4.0], [[2.0], [np.nan]]])
def test_times_outside_the_samples_are_refused(bad):
    with pytest.raises(LimitError, match=r"outside the samples.*1\.0+ to 3\.0+"):
        taken([1.0, 3.0], [0.0, 1.0]).at(bad)


def test_no_samples_at_all():
    with pytest.raises(LimitError, match="no positions were taken"):
        Track().positions().at(1.0)
    assert len(Track().positions()) == 0


def test_a_sample_has_the_middle_of_its_exchange_and_is_given_out_once():
    track = Track()

    async def slow() -> float:
        await asyncio.sleep(0.05)
        return 4.5

    assert asyncio.run(track.take(slow)) == 4.5
    ((when, position, half),) = track.samples
    assert position == 4.5
    assert half >= 0.025
    (unread,) = track.unread()
    assert track.unread() == []
    assert event_page("x", [unread]) == {
        "time": [when],
        "data": {"x": [4.5], "x-time": [when], "x-time_uncertainty": [half]},
        "timestamps": {"x": [when], "x-time": [when], "x-time_uncertainty": [when]},
    }
