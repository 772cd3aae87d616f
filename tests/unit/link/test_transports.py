"""Serial URLs and TCP, sharing, and what is said about ports that cannot be opened."""

import errno
import socket
from pathlib import Path

import pytest
import serial

from rdaq_ophyd.errors import LinkClosed, LinkError, PortBusy, PortNotFound, PortNotPermitted
from rdaq_ophyd.link import (
    Line,
    Link,
    SerialLink,
    SerialSettings,
    TcpLink,
    acquire,
    close_all,
    existing_ports,
    make_link,
    open_links,
    release,
)
from rdaq_ophyd.link import _port_errors as port_errors
from rdaq_ophyd.sim import SimEsp300, serve_pty, serve_tcp

CRLF = Line(b"\r\n")
VERSION = b"ESP300 Version 3.04 07/27/01"


def asked(link: Link) -> bytes:
    link.open()
    try:
        return link.submit(b"VE?\r", reply=CRLF, timeout=5).result(10)
    finally:
        link.close()


def test_serial_tcp_and_pyserial_urls_reach_the_same_instrument():
    with serve_tcp(SimEsp300(), lift_baud=True) as tcp, serve_pty(SimEsp300(), lift_baud=True) as pty:
        address = tcp.url.removeprefix("socket://")
        assert asked(SerialLink(pty.url, SerialSettings(19200))) == VERSION
        assert asked(TcpLink(f"tcp://{address}")) == VERSION
        assert asked(SerialLink(tcp.url)) == VERSION
        assert asked(SerialLink(f"spy://{pty.url}")) == VERSION


def test_loop_urls_work():
    link = SerialLink("loop://", reply=Line(b"\r"))
    link.open()
    assert link.submit(b"back\r").result(5) == b"back"
    link.close()


def test_settings_read_like_the_manual():
    assert str(SerialSettings()) == "9600 8N1"
    assert str(SerialSettings(19200, parity="E", stopbits=1.5, rtscts=True, xonxoff=True)) == (
        "19200 8E1.5 RTS/CTS XON/XOFF"
    )


def test_make_link_chooses_by_url():
    assert isinstance(make_link("tcp://localhost:5000"), TcpLink)
    assert isinstance(make_link("/dev/ttyUSB0"), SerialLink)


def test_devices_on_one_port_share_a_link_until_the_last_leaves(tmp_path: Path):
    with serve_pty(SimEsp300(), lift_baud=True) as port:
        by_id = tmp_path / "usb-Newport_ESP300"
        by_id.symlink_to(port.url)
        first = acquire(port.url, SerialSettings(19200))
        second = acquire(str(by_id), SerialSettings(19200))
        assert first is second
        first.open()
        assert open_links() == (first,)
        release(first)
        assert first.is_open
        release(second)
        assert not first.is_open
        release(second)
        assert open_links() == ()
        again = acquire(port.url, SerialSettings(19200))
        again.open()
        close_all()
        assert not again.is_open


def test_settings_that_disagree_are_refused():
    link = acquire("COM77", SerialSettings(9600))
    try:
        with pytest.raises(LinkError, match=r"19200 8N1.*9600 8N1.*same line settings"):
            acquire("com77", SerialSettings(19200))
        release(acquire("com77"))
    finally:
        release(link)


@pytest.mark.parametrize("url", ["/dev/rdaq-no-such-port", "COM99"])
def test_an_absent_port_is_named_with_those_that_exist(url: str):
    with pytest.raises(PortNotFound, match=r"no such port.*(ports of this machine|no serial port)"):
        SerialLink(url).open()


def test_ports_of_this_machine_are_listed_stable_names_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "usb-FTDI").touch()
    monkeypatch.setattr(port_errors, "BY_ID", tmp_path)
    assert existing_ports()[0] == str(tmp_path / "usb-FTDI")
    error = port_errors.opening_failed("/dev/ttyUSB9", FileNotFoundError(errno.ENOENT, "no"))
    assert "usb-FTDI" in str(error)


def test_nobody_listening_is_not_found():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    for link in (TcpLink(f"tcp://127.0.0.1:{number}"), SerialLink(f"socket://127.0.0.1:{number}")):
        with pytest.raises(PortNotFound, match="nobody listens"):
            link.open()


@pytest.mark.parametrize("url", ["tcp://", "tcp://host", "tcp://host:notaport"])
def test_addresses_that_are_none(url: str):
    with pytest.raises(PortNotFound, match="write tcp://HOST:PORT"):
        TcpLink(url).open()


def test_a_url_that_pyserial_does_not_know():
    with pytest.raises(PortNotFound, match="cannot be opened"):
        SerialLink("carrier-pigeon://roof").open()


def test_a_port_in_use_is_busy():
    with serve_pty(SimEsp300(), lift_baud=True) as port:
        holder = serial.Serial(port.url, exclusive=True)
        with pytest.raises(PortBusy, match="fuser"):
            SerialLink(port.url).open()
        holder.close()


def test_windows_says_in_words_that_a_port_is_busy():
    error = serial.SerialException("could not open port 'COM3': PermissionError(13, 'Access is denied.', None, 5)")
    assert isinstance(port_errors.opening_failed("COM3", error), PortBusy)


def test_a_port_without_permission_tells_the_group():
    error = serial.SerialException(errno.EACCES, "could not open port")
    refused = port_errors.opening_failed("/dev/ttyUSB0", error)
    assert isinstance(refused, PortNotPermitted)
    assert "dialout" in str(refused)


@pytest.mark.parametrize("make", [SerialLink, TcpLink])
def test_a_link_that_was_never_opened_is_closed(make: type[Link]):
    link = make("tcp://127.0.0.1:1")
    assert not link.is_open
    with pytest.raises(LinkClosed):
        link._write(b"x")
    with pytest.raises(LinkClosed):
        link._read(0)
    link.close()


def test_a_write_that_the_other_end_does_not_take_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.link._tcp.WRITE_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = TcpLink(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        link.open()
        peer, _ = server.accept()
        with peer, pytest.raises(LinkClosed, match="did not finish"):
            link.submit(b"x" * 50_000_000, reply=False).result(30)
        assert not link.is_open
        with pytest.raises(LinkClosed, match="plug it in again"):
            link.submit(b"x", reply=False)
        with pytest.raises(LinkClosed, match="plug it in again"):
            link.preempt(b"x")
        link.close()
