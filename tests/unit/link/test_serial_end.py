"""What a serial port is left with when its link closes."""

import fcntl
import os
import termios
from collections.abc import Iterator

import pytest
from parts import Echo

from rdaq_ophyd.link import Line, SerialLink
from rdaq_ophyd.sim import Port, serve_pty


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Echo(), lift_baud=True) as served:
        yield served


def test_the_control_lines_stay_as_they_are_after_the_last_close(port: Port):
    link = SerialLink(port.url, reply=Line(b"\r\n"))
    fd = os.open(port.url, os.O_RDWR | os.O_NOCTTY)
    try:
        settings = termios.tcgetattr(fd)
        settings[2] |= termios.HUPCL
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    finally:
        os.close(fd)
    link.open()
    try:
        assert not termios.tcgetattr(link.fileno())[2] & termios.HUPCL
    finally:
        link.close()


def test_the_port_is_free_after_closing_though_somebody_holds_a_duplicate(port: Port):
    link = SerialLink(port.url, reply=Line(b"\r\n"), timeout=5.0)
    link.open()
    held = link.duplicate()
    assert held is not None
    try:
        link.close()
        again = SerialLink(port.url, reply=Line(b"\r\n"), timeout=5.0)
        again.open()
        assert again.submit(b"Qhello\r").result(5) == b"hello"
        with pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        again.close()
    finally:
        os.close(held)
