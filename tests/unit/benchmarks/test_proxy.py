"""The proxy of the benchmarks: a round trip is longer by what was asked for, nothing else changes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import pytest
from benchmarks._proxy import PIECE, Line, Proxy, longer


@contextmanager
def echo():
    """A server that gives back what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            try:
                end, _ = listening.accept()
            except OSError:
                return
            with end:
                while data := end.recv(1 << 16):
                    end.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def to(port):
    return closing(socket.create_connection(("127.0.0.1", port), 10))


def exactly(end, length):
    data = b""
    while len(data) < length:
        part = end.recv(length - len(data))
        assert part
        data += part
    return data


@pytest.mark.parametrize("rtt", [0.0, 0.02, 0.1])
def test_a_round_trip_takes_at_least_that_long(rtt):
    with echo() as port, closing(Proxy(port, rtt)) as proxy, to(proxy.port) as end:
        times = []
        for number in range(5):
            began = time.monotonic()
            end.sendall(b"%d" % number)
            assert exactly(end, 1) == b"%d" % number
            times.append(time.monotonic() - began)
    assert min(times) >= rtt
    assert min(times) < rtt + 0.05


def test_what_is_under_way_at_once_shares_a_round_trip():
    """Delay is no rate: 16 MB through a line of 100 ms take one round trip, and not one for each piece."""
    data = os.urandom(1 << 20) * 16
    with echo() as port, closing(Proxy(port, 0.1)) as proxy, to(proxy.port) as end:
        began = time.monotonic()
        writing = threading.Thread(target=end.sendall, args=(data,))
        writing.start()
        assert exactly(end, len(data)) == data
        writing.join(10)
        # Piece by piece it would be 64 round trips.
        assert 0.1 <= time.monotonic() - began < len(data) / PIECE * 0.1 / 2


def test_who_takes_nothing_stops_the_other_side():
    """A stalled reader leaves the sender with full sockets, not with a proxy that takes all."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        closing(Proxy(listening.getsockname()[1], 0.0)) as proxy,
        to(proxy.port) as end,
    ):
        taken, _ = listening.accept()
        with taken:
            end.settimeout(0.5)
            sent = filled(end)
            # The kernel's buffers of two connections are some megabytes each.
            assert sent < 64 << 20
            assert max(line.most for line in proxy.lines) < 16 << 20
            end.settimeout(10)
            while sent:
                sent -= len(taken.recv(min(sent, 1 << 20)))


def filled(end):
    """Send until nothing more is taken; how much was."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 1 << 30:
            sent += end.send(bytes(PIECE))
    return sent


def test_an_end_goes_through_and_a_lost_side_ends_the_other():
    with echo() as port, closing(Proxy(port, 0.01)) as proxy, to(proxy.port) as end:
        end.sendall(b"last")
        end.shutdown(socket.SHUT_WR)
        assert exactly(end, 4) == b"last"
        assert end.recv(1) == b""
        for line in proxy.lines:
            for thread in line.threads:
                thread.join(10)
                assert not thread.is_alive()


def test_room_is_bounded():
    near, source = socket.socketpair()
    drain, far = socket.socketpair()
    with near, source, drain, far:
        line = Line(source, drain, 0.2, room=2 * PIECE)
        data = os.urandom(PIECE) * 6
        writing = threading.Thread(target=near.sendall, args=(data,))
        writing.start()
        assert exactly(far, len(data)) == data
        writing.join(10)
        assert line.most <= 3 * PIECE
        near.close()
        assert far.recv(1) == b""
        for thread in line.threads:
            thread.join(10)


def test_a_process_of_its_own():
    with echo() as port, ExitStack() as stack:
        near = longer(stack, f"127.0.0.1:{port}", 0.0)
        assert near == f"127.0.0.1:{port}"
        far = longer(stack, near, 0.05)
        with to(int(far.rpartition(":")[2])) as end:
            began = time.monotonic()
            end.sendall(b"x")
            assert exactly(end, 1) == b"x"
            assert time.monotonic() - began >= 0.05
