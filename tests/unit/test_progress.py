"""How far something is, as a number and as a bar."""

from __future__ import annotations

import io
import math

import pytest

from rdaq_ophyd.progress import POINTS, Bars, Progress


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        (Progress("x", 1.0, 0.0, 4.0), 0.25),
        (Progress("x", 3.0, 4.0, 0.0), 0.25),
        (Progress("x", -1.0, 0.0, 4.0), 0.0),
        (Progress("x", 5.0, 0.0, 4.0), 1.0),
        (Progress("x", 2.0, 2.0, 2.0), 1.0),
        (Progress("x"), math.nan),
        (Progress(POINTS, 3), math.nan),
    ],
)
def test_how_much_of_the_way_is_gone(progress, fraction):
    assert progress.fraction == pytest.approx(fraction, nan_ok=True)


def test_bars_show_moves_and_points_with_their_units():
    drawn = io.StringIO()
    with Bars(drawn) as bars:
        bars(Progress(POINTS, 0, 0, 11))
        bars(Progress("x", 0.5, 0.0, 2.0, "mm"))
        bars(Progress("x", 2.5, 0.0, 2.0, "mm"))  # overshoot
        bars(Progress("x", 2.0, 0.0, 2.0, "mm", done=True))
        bars(Progress(POINTS, 11, 0, 11, done=True))
        assert not bars._bars
    text = drawn.getvalue()
    assert "x:  25%" in text
    assert "2/2 mm" in text
    assert "points: 100%" in text
    assert "11/11" in text


def test_points_whose_number_nobody_knows_are_counted():
    drawn = io.StringIO()
    with Bars(drawn) as bars:
        bars(Progress(POINTS, 3))
        assert bars._bars.keys() == {POINTS}
    assert "points: 3" in drawn.getvalue()
    assert not bars._bars


def test_what_was_over_before_it_was_seen_is_not_drawn():
    drawn = io.StringIO()
    Bars(drawn)(Progress("x", 1.0, 0.0, 1.0, done=True))
    assert drawn.getvalue() == ""
