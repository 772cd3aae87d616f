"""A client that others wrote for the real controller drives the simulated one: PyMeasure's ``newport.ESP300``.

PyMeasure names its property ``motion_done`` and casts the reply of ``MD?`` to bool: 1 is done, as in the manual, so the
name holds (some other public drivers have it inverted). Its ``wait_for_stop`` sends ``WS``, which makes the controller
hold all later commands, a stop among them; see the last test. Its ``axes`` (and with it ``enable``, ``disable`` and
``shutdown`` of the whole controller) reads every property it has, also those of instruments with SCPI commands; the
controller meets these with silence, so each costs the time-out of the port and leaves an error 6 in the queue.
"""

from __future__ import annotations

import time

import pytest
from pymeasure.adapters import SerialAdapter
from pymeasure.instruments.newport import ESP300
from pymeasure.instruments.newport.esp300 import AxisError, GeneralError

from rdaq_ophyd.sim import SimEsp300, serve_pty

# PyMeasure's own: it does not know whether its class is for an instrument with SCPI commands (it is not).
pytestmark = pytest.mark.filterwarnings(
    "ignore:It is not known whether this device support SCPI commands or not. "
    "Please inform the pymeasure maintainers if you know the answer.:FutureWarning"
)


def opened(port):
    adapter = SerialAdapter(port, baudrate=19200, timeout=10, write_termination="\r", read_termination="\r\n")
    return ESP300(adapter)


@pytest.fixture(scope="module")
def bench():
    with serve_pty(SimEsp300(speed=10.0)) as port:
        yield port


@pytest.fixture
def controller(bench):
    controller = opened(bench.url)
    controller.clear_errors()
    axes = controller.x, controller.y, controller.phi
    for axis in axes:
        axis.enable()
    yield controller
    for axis in axes:
        axis.disable()
    controller.adapter.close()


def settled(axis, seconds=30.0):
    end = time.monotonic() + seconds
    while not axis.motion_done:
        assert time.monotonic() < end, "it still moves"


def test_enable_and_disable(controller):
    assert controller.x.enabled
    assert controller.y.enabled
    controller.y.disable()
    assert not controller.y.enabled
    assert controller.errors == []


def test_its_list_of_axes_is_slow_and_leaves_errors(controller):
    controller.adapter.connection.timeout = 0.2
    controller.y.disable()
    controller.enable()
    controller.adapter.connection.timeout = 10
    controller.adapter.flush_read_buffer()
    assert controller.y.enabled
    assert {error.error for error in controller.errors} == {"6"}


@pytest.mark.parametrize(("name", "target"), [("x", 3.25), ("y", -2.5), ("phi", 40.0)])
def test_move_and_read_back(controller, name, target):
    axis = getattr(controller, name)
    axis.position = target
    axis.wait_for_stop()
    assert axis.position == pytest.approx(target, abs=1e-3)
    axis.position = 0
    settled(axis)
    assert axis.position == pytest.approx(0, abs=1e-3)
    assert controller.errors == []


def test_motion_is_not_done_while_it_moves(controller):
    axis = controller.x
    axis.write("VA0.1")
    axis.position = 5
    assert not axis.motion_done
    axis.write("ST")
    settled(axis)
    assert 0 <= axis.position < 5
    axis.write("VA100")
    assert controller.errors == []


def test_limits(controller):
    axis = controller.x
    assert (axis.left_limit, axis.right_limit) == (-25, 25)
    axis.left_limit, axis.right_limit = -5, 5.5
    assert (axis.left_limit, axis.right_limit) == (-5, 5.5)
    axis.position = 6
    (error,) = controller.errors
    assert isinstance(error, AxisError)
    assert (error.axis, error.message) == ("1", "POSITIVE SOFTWARE LIMIT DETECTED")
    assert axis.motion_done
    axis.left_limit, axis.right_limit = -25, 25


def test_errors(controller):
    controller.y.disable()
    controller.y.position = 1
    controller.write("QQ")
    axis_error, general_error = controller.errors
    assert str(axis_error) == "Newport ESP300 axis 2 reported the error: MOTOR NOT ENABLED"
    assert isinstance(general_error, GeneralError)
    assert general_error.message == "COMMAND DOES NOT EXIST"
    assert controller.errors == []


def test_units(controller):
    assert controller.x.units == "millimeter"
    assert controller.phi.units == "degree"
    controller.x.units = "micrometer"
    assert controller.x.right_limit == 25_000
    controller.x.units = "millimeter"


def test_home_and_zero(controller):
    axis = controller.x
    axis.position = 2
    settled(axis)
    axis.zero()
    assert axis.position == 0
    axis.define_position(7)
    assert axis.position == 7
    axis.home()
    settled(axis)
    assert axis.position == pytest.approx(0, abs=1e-3)
    assert controller.errors == []


def test_its_wait_for_stop_holds_a_stop_back():
    """What the log of the port shows of a stop sent behind ``WS``: it arrived at once, and acted late."""
    with serve_pty(SimEsp300()) as port:
        controller = opened(port.url)
        controller.x.enable()
        controller.x.position = 10
        controller.x.write("WS0")
        controller.x.write("ST")
        assert controller.x.position == pytest.approx(10, abs=1e-3)  # the reply waited as well
        (arrived,) = port.log.arrivals(b"1ST\r")
        (answered,) = port.log.arrivals(b"\r\n", "tx")
        assert answered - arrived > 1e9
        controller.adapter.close()
