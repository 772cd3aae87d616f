"""Ports named by the serial number of their USB adapter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial.tools.list_ports_common import ListPortInfo

from rdaq_ophyd.errors import PortNotFound
from rdaq_ophyd.link import Line, SerialLink, _usb, acquire, find_usb, is_usb, release, usb_name
from rdaq_ophyd.link._registry import _key
from rdaq_ophyd.link._usb import describe_usb, device_of, parse_usb
from rdaq_ophyd.sim import SimEsp300, serve_pty


def port(device, serial_number=None, vid=0x0403, pid=0x6001):
    info = ListPortInfo(device, skip_link_detection=True)
    info.serial_number, info.vid, info.pid = serial_number, vid, pid
    return info


BENCH = [
    port("/dev/ttyUSB0", "FT000001"),
    port("/dev/ttyUSB1", "FT000002"),
    port("/dev/ttyACM0", "A4:CF:12:00:00:01", 0x303A, 0x1001),
    port("/dev/ttyS0", None, None, None),
]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("usb:FT000001", "/dev/ttyUSB0"),
        ("usb:ft000002", "/dev/ttyUSB1"),
        ("USB:FT000002", "/dev/ttyUSB1"),
        ("usb:0403:6001:FT000001", "/dev/ttyUSB0"),
        ("usb:A4:CF:12:00:00:01", "/dev/ttyACM0"),
        ("usb:303a:1001:A4:CF:12:00:00:01", "/dev/ttyACM0"),
    ],
)
def test_the_one_port_that_is_meant(name, device):
    assert is_usb(name)
    assert find_usb(name, BENCH) == device


def test_none_is_answered_with_what_is_there():
    with pytest.raises(PortNotFound) as error:
        find_usb("usb:FT000009", BENCH, ["/dev/serial/by-id/usb-FTDI_FT000001-if00-port0"])
    text = str(error.value)
    assert "usb:FT000009: no port has this serial number" in text
    assert "/dev/ttyUSB0 (usb:FT000001)" in text
    assert "/dev/ttyS0" in text
    assert "/dev/serial/by-id/usb-FTDI_FT000001-if00-port0" in text
    with pytest.raises(PortNotFound, match="ports here: none"):
        find_usb("usb:FT000009", [])


def test_the_right_serial_number_on_another_make_is_another_port():
    with pytest.raises(PortNotFound, match="no port has this serial number"):
        find_usb("usb:0403:6010:FT000001", BENCH)


def test_several_are_listed_and_told_apart_by_their_make():
    twins = [port("COM3", "0001"), port("COM4", "0001", 0x10C4, 0xEA60)]
    with pytest.raises(
        PortNotFound, match=r"several ports have this serial number: COM3, COM4 → write usb:VID:PID:SERIAL"
    ):
        find_usb("usb:0001", twins)
    assert find_usb("usb:10C4:EA60:0001", twins) == "COM4"


def test_two_entries_of_one_device_are_one_port():
    assert find_usb("usb:FT000001", [*BENCH, port("/dev/ttyUSB0", "FT000001")]) == "/dev/ttyUSB0"


def test_a_name_without_a_number_is_refused():
    with pytest.raises(PortNotFound, match="no serial number → write usb:SERIAL"):
        parse_usb("usb: ")


def test_the_shortest_name_that_is_unique():
    assert usb_name(BENCH[0], BENCH) == "usb:FT000001"
    assert usb_name(BENCH[3], BENCH) is None
    twins = [port("COM3", "0001"), port("COM4", "0001", 0x10C4, 0xEA60)]
    assert usb_name(twins[1], twins) == "usb:10c4:ea60:0001"
    same = [port("COM3", "0001"), port("COM4", "0001")]
    assert usb_name(same[0], same) is None
    assert describe_usb(BENCH[3]) == "/dev/ttyS0"


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6))
def test_a_name_that_is_given_out_always_leads_back(rows):
    ports = [port(f"/dev/p{i}", serial, vid, pid) for i, (serial, vid, pid) in enumerate(rows)]
    for one in ports:
        name = usb_name(one, ports)
        if name is None:
            assert any(
                o is not one and (o.serial_number, o.vid, o.pid) == (one.serial_number, one.vid, one.pid) for o in ports
            )
        else:
            assert find_usb(name, ports) == one.device


def test_other_names_are_left_alone():
    for name in ("/dev/ttyUSB0", "COM3", "tcp://host:1", "socket://host:1", "usbserial"):
        assert not is_usb(name)
        assert device_of(name) == name


@pytest.fixture
def plugged(monkeypatch):
    """Serve an ESP300 on the port of an adapter; gives what is plugged in, to be changed."""
    ports = []
    monkeypatch.setattr(_usb.list_ports, "comports", lambda: ports)
    return ports


async def test_a_link_opens_the_port_that_the_adapter_has_by_then(plugged):
    with serve_pty(SimEsp300(), lift_baud=True) as first, serve_pty(SimEsp300(), lift_baud=True) as second:
        link = SerialLink("usb:FT000001", reply=Line(b"\r\n"))
        plugged[:] = [port(first.url, "FT000001")]
        link.open()
        assert (await link.ask(b"VE?\r")).startswith(b"ESP300")
        link.close()
        plugged[:] = [port(second.url, "FT000001")]
        link.open()
        assert (await link.ask(b"VE?\r")).startswith(b"ESP300")
        link.close()


def test_all_names_of_a_port_share_one_link(plugged):
    with serve_pty(SimEsp300(), lift_baud=True) as served:
        plugged[:] = [port(served.url, "FT000001")]
        one, other = acquire("usb:FT000001"), acquire(served.url)
        try:
            assert one is other
        finally:
            release(one)
            release(other)


def test_a_name_whose_port_is_unplugged_keeps_a_key_of_its_own(plugged):
    assert _key("usb:FT000001") == _key("USB:ft000001")
    with pytest.raises(PortNotFound, match="no port has this serial number"):
        SerialLink("usb:FT000001").open()
