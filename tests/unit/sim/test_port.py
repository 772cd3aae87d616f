"""Real ports: bytes take their time, are logged, and go wrong as told."""

from __future__ import annotations

import os
import socket
import termios
import threading
import time
from itertools import pairwise

import pytest
import serial

from rdaq_ophyd.sim import Faults, Port, SimEsp300, SimNewport1830C, read_log, serve_pty, serve_tcp
from rdaq_ophyd.sim._endpoint import TcpEndpoint


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)
    return value


def client(port, timeout=10.0):
    return serial.serial_for_url(port.url, baudrate=19200, timeout=timeout)


def ask(line, command, end=b"\r\n"):
    line.write(command)
    return line.read_until(end)


def address(port):
    host, number = port.url.removeprefix("socket://").split(":")
    return host, int(number)


@pytest.fixture
def port():
    with serve_pty(SimEsp300(), lift_baud=True) as port:
        yield port


def test_a_client_can_close_and_open_again(port):
    for _ in range(3):
        with client(port) as line:
            assert ask(line, b"VE?\r").startswith(b"ESP300")
    assert port.url.startswith("/dev/")


@pytest.mark.parametrize("serve", [serve_pty, serve_tcp])
def test_a_call_finds_what_was_sent_before_it(serve):
    with serve(SimEsp300(), lift_baud=True) as port, client(port) as line:
        busy = threading.Event()
        noise = threading.Thread(target=lambda: [port.call(lambda _: None) for _ in iter(busy.is_set, True)])
        noise.start()
        try:
            found = []
            for speed in range(1, 301):
                line.write(b"1VA%.3f\r" % (speed / 1000))
                found.append(port.call(lambda _: port.instrument.axes[1].values["VA"]))
        finally:
            busy.set()
            noise.join(10.0)
    assert found == [speed / 1000 for speed in range(1, 301)]


def test_what_a_client_sent_before_it_was_let_in_is_received_with_it():
    endpoint = TcpEndpoint()
    with socket.create_connection(("127.0.0.1", int(endpoint.url.rpartition(":")[2])), 5) as line:
        assert endpoint.receive(endpoint.readers()[0]) == b"", "nothing was sent yet"
        line.sendall(b"VE?\r")
        assert endpoint.receive(endpoint.readers()[0]) == b"VE?\r"
    assert endpoint.receive(endpoint.readers()[0]) == b"", "it left"
    with socket.create_connection(("127.0.0.1", int(endpoint.url.rpartition(":")[2])), 5) as line:
        line.sendall(b"VE?\r")
        assert endpoint.receive(endpoint.readers()[0]) == b"VE?\r"
    endpoint.disconnect()


def test_the_terminal_does_not_echo_nor_translate(port):
    fd = os.open(port.url, os.O_RDWR | os.O_NOCTTY)
    try:
        assert not termios.tcgetattr(fd)[3] & (termios.ECHO | termios.ICANON)
        os.write(fd, b"1MO?\r")
        got = b""
        while not got.endswith(b"\n"):
            got += os.read(fd, 100)
        assert got == b"0\r\n"
    finally:
        os.close(fd)


def test_a_reply_takes_as_long_as_its_bytes():
    with serve_pty(SimEsp300()) as port, client(port) as line:
        start = time.monotonic()
        reply = ask(line, b"VE?\r")
        assert time.monotonic() - start >= (len(b"VE?\r") + len(reply)) * 10 / 19200
        times = [r.t_ns for r in port.log.records if r.direction == "rx"]
        assert [b - a for a, b in pairwise(times)] == [pytest.approx(10 / 19200 * 1e9, rel=1e-3)] * 3


def test_late_bytes_do_not_make_the_next_late():
    """Twenty queries in one write: the schedule is the wire's, whatever the machine does meanwhile."""
    with serve_pty(SimEsp300()) as port, client(port) as line:
        line.write(b"1MO?\r" * 20)
        assert line.read(60) == b"0\r\n" * 20
        arrived = port.log.arrivals(b"1MO?\r")
        assert arrived[-1] - arrived[0] == pytest.approx(19 * 5 * 10 / 19200 * 1e9, rel=1e-3)


def test_the_arrival_of_a_stop_is_in_the_log(port):
    with client(port) as line:
        before = time.monotonic_ns()
        line.write(b"1MO;1PA10\r")
        line.write(b"1ST\r")
        ask(line, b"1MD?\r")
    (when,) = port.log.arrivals(b"1ST\r")
    assert before < when < time.monotonic_ns()
    assert port.log.bytes() == b"1MO;1PA10\r1ST\r1MD?\r"
    assert port.log.bytes("tx") == b"0\r\n"


def test_the_log_file_is_readable_while_it_grows(tmp_path):
    path = tmp_path / "esp300.jsonl"
    with serve_pty(SimEsp300(), lift_baud=True, log_path=path) as port, client(port) as line:
        line.write(b"\xff\x00\r")
        ask(line, b"TE?\r")
        until(lambda: len(read_log(path)) == len(port.log.records))
        assert read_log(path) == port.log.records
        with path.open("a") as torn:
            torn.write('{"t_ns": 12')
        assert read_log(path) == port.log.records


def test_latency_comes_before_the_reply():
    with serve_pty(SimEsp300(latency=0.05), lift_baud=True) as port, client(port) as line:
        ask(line, b"1TP?\r")
        received, sent = (r.t_ns for r in port.log.records)
        assert sent - received >= 0.05e9


def test_a_mute_instrument_still_obeys(port):
    with client(port) as line:
        port.faults = Faults(mute=True)
        line.write(b"1MO\r1TP?\r")
        until(lambda: port.log.arrivals(b"1TP?\r"))
        port.faults = Faults()
        assert ask(line, b"1MO?\r") == b"1\r\n"
    assert port.log.bytes("tx") == b"1\r\n"


def test_a_delayed_reply(port):
    with client(port) as line:
        port.faults = Faults(reply_delay=0.1)
        ask(line, b"1TP?\r")
        received, sent = (r.t_ns for r in port.log.records)
        assert sent - received >= 0.1e9


def test_half_a_reply_sticks_until_it_is_released(port):
    with client(port) as line:
        port.faults = Faults(half_reply=3)
        line.write(b"VE?\r1MO?\r")
        until(lambda: port.log.arrivals(b"1MO?\r"))
        assert line.read(3) == b"ESP"
        assert port.log.bytes("tx") == b"ESP"
        port.faults = Faults()
        assert line.read_until(b"01\r\n") == b"300 Version 3.04 07/27/01\r\n"
        assert line.read_until(b"\r\n") == b"0\r\n"


def test_babble(port):
    with client(port) as line:
        port.babble(b"?!")
        assert line.read(2) == b"?!"
        port.faults = Faults(babble=b"xyz", babble_every=0.005)
        assert line.read(9) == b"xyz" * 3
        port.faults = Faults()
        assert ask(line, b"1MO?\r").endswith(b"0\r\n")


def test_babble_that_nobody_reads_is_lost():
    with serve_pty(SimEsp300()) as port:
        port.faults = Faults(babble=b"z" * 8000, babble_every=0.0001)
        until(lambda: port.call(lambda now: len(port._line._outgoing)) >= 16_000)
        assert port.call(lambda now: len(port._line._outgoing)) < 25_000


def test_a_pulled_cable_is_an_error_and_a_link_comes_back(tmp_path):
    link = tmp_path / "esp300"
    with serve_pty(SimEsp300(), lift_baud=True, link=link) as port:
        assert port.url == str(link)
        line = client(port)
        port.call(lambda now: port.instrument.feed(b"1MO\r", now))
        port.disconnect()
        port.disconnect()
        with pytest.raises((serial.SerialException, OSError, termios.error)):
            ask(line, b"1MO?\r")
        line.close()
        assert not link.is_symlink()
        with pytest.raises(serial.SerialException):
            client(port)
        port.reconnect()
        port.reconnect()
        with client(port) as line:
            assert ask(line, b"1MO?\r") == b"1\r\n"  # it was the cable, not the instrument
    assert not link.is_symlink()


def test_a_link_never_replaces_a_file(tmp_path):
    kept = tmp_path / "esp300"
    kept.write_text("mine")
    with pytest.raises(FileExistsError):
        serve_pty(SimEsp300(), link=kept)
    assert kept.read_text() == "mine"


def test_tcp_serves_one_client_after_another():
    with serve_tcp(SimNewport1830C(noise=0.0)) as port:
        for _ in range(2):
            with client(port) as line:
                assert ask(line, b"W?\n", b"\n") == b"0800\n"
        # A bare socket: pyserial's leaves its own open when the other side has gone.
        with socket.create_connection(address(port)) as line:
            until(lambda: port.call(lambda now: port._endpoint._client))
            port.disconnect()
            assert line.recv(1) == b""
        with pytest.raises(serial.SerialException):
            client(port)
        port.reconnect()
        with client(port) as line:
            assert ask(line, b"W?\n", b"\n") == b"0800\n"


def test_tcp_survives_a_client_that_breaks_off():
    with serve_tcp(SimEsp300(), lift_baud=True) as port:
        rude = socket.create_connection(address(port))
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        rude.sendall(b"VE?\r" * 100)
        rude.close()
        with client(port) as line:
            assert ask(line, b"1MO?\r") == b"0\r\n"


def test_an_endpoint_without_a_client_loses_what_is_sent():
    endpoint = TcpEndpoint()
    assert endpoint.receive(endpoint.readers()[0]) == b""  # nobody there after all
    endpoint.send(b"lost")
    assert endpoint.line_speed() is None
    endpoint.disconnect()
    assert endpoint.readers() == []


def test_the_wrong_baud_rate_gives_garbage_if_wanted():
    with serve_pty(SimEsp300(), strict_baud=True) as port, client(port) as line:
        assert ask(line, b"1MO?\r") == b"0\r\n"
        line.baudrate = 9600
        line.timeout = 0.1
        assert ask(line, b"1MO?\r") != b"0\r\n"
        line.baudrate = 19200
        line.timeout = 10
        line.reset_input_buffer()
        line.write(b"\r")
        assert ask(line, b"1MO?\r").endswith(b"0\r\n")


def test_a_client_that_sends_without_end_is_slowed_down(port):
    """The line takes no more than it can hold; nothing is lost for a client that waits."""
    with serve_pty(SimEsp300()) as slow, client(slow) as line:
        line.write_timeout = 0.2
        with pytest.raises(serial.SerialTimeoutException):
            line.write(b";" * 200_000)
        assert slow.call(lambda now: len(slow._line._incoming)) <= 16_384 + 4096


def test_calls_reach_the_instrument_and_bring_back_errors(port):
    assert port.call(lambda now: port.instrument.axes[1].motor_on) is False
    with pytest.raises(ZeroDivisionError):
        port.call(lambda now: 1 / 0)


def test_a_closed_port_says_so(port):
    port.close()
    port.close()
    with pytest.raises(RuntimeError, match="esp300 is closed"):
        port.faults = Faults()


def test_an_instrument_that_breaks_is_logged(caplog):
    class Broken(SimEsp300):
        def advance(self, now):
            if now < float("inf"):
                raise ArithmeticError("broken")
            return []

    seen = []
    hook, threading.excepthook = threading.excepthook, seen.append
    try:
        with Port(Broken(), TcpEndpoint(), baud=None) as port:
            until(lambda: not port._thread.is_alive())
    finally:
        threading.excepthook = hook
    assert "simulated esp300 died" in caplog.text
    assert seen[0].exc_type is ArithmeticError
