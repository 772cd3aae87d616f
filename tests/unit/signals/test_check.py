"""Numbers that are no numbers, and limits: refused before a byte is sent."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import Array1D, Command, SignalW, Table
from parts import Echo

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Line
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Tell, check_limits, check_value, tighter
from rdaq_ophyd.sim import serve_pty


class Curve(Table):
    """Two columns of numbers."""

    at: Array1D[np.float64]
    label: Sequence[str]


def curve(*at: float) -> Curve:
    return Curve(at=np.array(at), label=["" for _ in at])


@pytest.mark.parametrize(
    "bad",
    [
        math.nan,
        -math.inf,
        10.001,
        -11,
        np.float32("nan"),
        np.float64("inf"),
        np.int16(11),
        10**400,
        Fraction(21, 2),
        [1.0, math.nan],
        (1.0, [2.0, math.inf]),
        np.array([1.0, math.nan, 2.0]),
        np.array([[1.0], [-math.inf]]),
        np.arange(12),
        np.array([1.0, math.nan], dtype=object),
        curve(1.0, math.inf),
        Decimal("NaN"),
        Decimal(11),
    ],
    ids=repr,
)
def test_what_is_refused(bad):
    with pytest.raises(LimitError, match=r"pump-speed: .*allowed: -10 to 10 mm/s"):
        check_value("pump-speed", bad, (-10.0, 10.0), "mm/s")


@pytest.mark.parametrize(
    "good",
    [0, -10.0, 10, np.float32(9.5), True, "nan", b"inf", None, [1, 2.0], np.array([]), np.array([True]), curve(1, 2)],
    ids=repr,
)
def test_what_passes(good):
    check_value("pump-speed", good, (-10.0, 10.0), "mm/s")


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_an_array_is_refused_as_its_numbers_are(numbers: list[float]):
    bad = any(not math.isfinite(number) or not -1.0 <= number <= 1.0 for number in numbers)
    for value in (numbers, np.array(numbers)):
        if bad:
            with pytest.raises(LimitError):
                check_value("x", value, (-1.0, 1.0), None)
        else:
            check_value("x", value, (-1.0, 1.0), None)


@pytest.mark.parametrize("bad", [(1, 0), (0, 0), (math.nan, 1), (0, math.inf), (1,), (1, 2, 3), 5, ("a", "b")])
def test_limits_that_are_none(bad):
    with pytest.raises(LimitError, match=r"axis 1.*give "):
        check_limits("axis 1", bad)


def test_the_tighter_limits():
    assert check_limits("x", (0, 1)) == (0.0, 1.0)
    assert check_limits("x", None) is None
    assert tighter((-5.0, 5.0), (-1.0, 9.0)) == (-1.0, 5.0)
    assert tighter(None, (-1.0, 9.0)) == tighter((-1.0, 9.0), None) == (-1.0, 9.0)
    assert tighter(None, None) is None
    nothing = tighter((0.0, 1.0), (2.0, 3.0))
    for value in (0.5, 1.5, 2.5):
        with pytest.raises(LimitError):
            check_value("x", value, nothing, None)


class Pump(LinkDevice):
    """Takes whatever it is told."""

    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=1.0)

    ramp: Annotated[Command[[float, str], None], Tell("R{arg0} {arg1}")]
    push: Annotated[Command[[float], None], Tell("P{arg0}", preempt=True)]
    ask: Annotated[Command[[float], str], Tell("Q{arg0}")]
    speed: Annotated[SignalW[float], Ask(write="S{value}")]


async def test_arguments_of_commands_are_checked_before_they_are_sent():
    with serve_pty(Echo(), lift_baud=True) as port:
        pump = Pump(port.url, name="pump")
        await pump.connect()
        for bad in (math.nan, math.inf, -math.inf, np.float64("nan")):
            with pytest.raises(LimitError, match=r"pump-ramp \(.*\): -?(nan|inf) is not a finite number"):
                await pump.ramp.execute(bad, "up")
            with pytest.raises(LimitError, match="pump-push"):
                await pump.push.execute(bad)
            with pytest.raises(LimitError, match="pump-ask"):
                await pump.ask.execute(bad)
            with pytest.raises(LimitError, match="pump-speed"):
                await pump.speed.set(bad)
        assert port.log.bytes() == b""
        assert await pump.ask.execute(1.5) == "1.5"
        await pump.ramp.execute(2.0, "nan")
        assert await pump.ask.execute(2.5) == "2.5"
        assert port.log.bytes() == b"Q1.5\rR2.0 nan\rQ2.5\r"
        pump.close()
