"""What is on which port: against simulated instruments on real serial devices and sockets, without harm to any."""

import tomllib

import pytest
from serial.tools.list_ports_common import ListPortInfo

from rdaq_ophyd.errors import PortNotFound, ProfileError
from rdaq_ophyd.identify import (
    PROBES,
    Answer,
    Kind,
    PortReport,
    candidates,
    identify,
    identify_all,
    profile_text,
    stable_name,
    write_profile,
)
from rdaq_ophyd.link import SerialLink
from rdaq_ophyd.rig import from_toml
from rdaq_ophyd.sim import Instrument, SimEsp300, SimNewport1830C, serve_pty, serve_tcp


class Answering(Instrument):
    """Answers one question."""

    name = "answering"
    baud = 9600
    terminator = b"\n"

    def __init__(self, question, answer):
        super().__init__()
        self.question, self.answer = question, answer

    def split(self, line):
        return [line.strip()] if line.strip() else []

    def mnemonic(self, command):
        return command

    def overlong(self, now):
        pass

    def execute(self, command, now):
        return self.answer + b"\r\n" if command == self.question else None


class Talking(Answering):
    """Says the same to everything."""

    def execute(self, command, now):
        return b"hello\r\n"


def names(report):
    return [answer.kind.what for answer in report.answers]


@pytest.mark.parametrize("serve", [serve_pty, serve_tcp])
def test_the_esp300_is_recognised_by_its_first_question(serve):
    simulated = SimEsp300()
    with serve(simulated) as port:
        report = identify(port.url)
        assert names(report) == ["Newport ESP300"]
        assert report.answers[0].said == "ESP300 Version 3.04 07/27/01"
        assert not simulated.errors


@pytest.mark.parametrize("serve", [serve_pty, serve_tcp])
def test_the_1830c_is_recognised_and_its_settings_stay(serve):
    simulated = SimNewport1830C()
    before = dict(simulated.settings)
    with serve(simulated) as port:
        assert names(identify(port.url)) == ["Newport 1830-C"]
    assert simulated.settings == before


def test_also_where_the_1830c_echoes():
    simulated = SimNewport1830C()
    simulated.settings["E"] = 1
    with serve_pty(simulated) as port:
        assert names(identify(port.url)) == ["Newport 1830-C"]
    assert simulated.settings["E"] == 1


def test_an_esp300_that_hears_all_the_questions_does_nothing():
    simulated = SimEsp300()
    with serve_tcp(simulated, lift_baud=True) as port:
        report = identify(port.url, PROBES[1:4])
        assert report.answers == []
        # Nothing that it heard ended with CR; its driver's first line ends it.
        assert names(identify(port.url, PROBES[:1])) == ["Newport ESP300"]
    assert [code for code, _ in simulated.errors] == [6]


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (b"Spectra Physics,MaiTai,3227/51054/40856,0245-2.00.34 / CD00000019", "Spectra-Physics Mai Tai"),
        (b"KEITHLEY INSTRUMENTS,MODEL 2450,04000001,1.7.12b", "instrument that knows *IDN?"),
    ],
)
def test_what_knows_idn_is_told_apart_by_its_answer(said, what):
    with serve_pty(Answering("*IDN?", said)) as port:
        report = identify(port.url)
    assert names(report) == [what]
    assert said.decode() in str(report.answers[0])


def test_something_else_is_told_with_what_it_said():
    with serve_tcp(Talking("", b""), lift_baud=True) as port:
        report = identify(port.url, PROBES[:2])
    assert report.answers == []
    assert b"hello" in report.heard


def test_silence():
    with serve_tcp(Answering("?", b""), lift_baud=True) as port:
        report = identify(port.url, PROBES[:1])
    assert (report.answers, report.heard, report.error) == ([], b"", None)


def test_a_port_in_use_is_not_asked():
    simulated = SimEsp300()
    with serve_pty(simulated) as port:
        link = SerialLink(port.url)
        link.open()
        try:
            report = identify(port.url)
        finally:
            link.close()
        assert report.busy
        assert names(identify(port.url)) == ["Newport ESP300"]


def test_a_port_that_is_not_there():
    report = identify("/dev/ttyUSB77")
    assert isinstance(report.error, PortNotFound)
    assert not report.busy


def test_several_ports_side_by_side_in_their_order():
    with serve_pty(SimEsp300()) as one, serve_pty(SimNewport1830C()) as other:
        found = list(identify_all([other.url, one.url]))
    assert [(r.url, *names(r)) for r in found] == [(other.url, "Newport 1830-C"), (one.url, "Newport ESP300")]
    assert list(identify_all([])) == []


def test_an_ell14_bus():
    ell14 = pytest.importorskip("rdaq_ophyd.sim.ell14", reason="no simulated ELL14 here")
    with serve_pty(ell14.SimEll14("03A")) as port:
        report = identify(port.url)
    assert names(report) == ["Thorlabs ELL14"] * 3
    assert [answer.address for answer in report.answers] == ["0", "3", "A"]


def test_a_mai_tai_stays_dark():
    maitai = pytest.importorskip("rdaq_ophyd.sim.maitai", reason="no simulated Mai Tai here")
    simulated = maitai.SimMaiTai()
    with serve_pty(simulated) as port:
        assert names(identify(port.url)) == ["Spectra-Physics Mai Tai"]
    assert not simulated.on
    assert not simulated.shutter


def test_no_question_can_be_a_command_of_another_instrument():
    """Of an ELL14: two small letters after an address. Of an ESP300: letters that change something, ended by CR."""
    asked = [question.text for probe in PROBES for question in probe.questions]
    assert len(set(asked)) == len(asked) - 1  # *IDN? at two baud rates
    for text in asked:
        harmless = text.endswith(b"in") or not any(97 <= byte <= 122 for byte in text)
        assert harmless
        assert b"?" in text or text.endswith(b"in")
        assert b"\r" not in text or text == b"VE?\r"
    assert PROBES[0].questions[0].text == b"VE?\r"
    assert PROBES[-1].each


def info(device, serial=None, vid=0x0403):
    port = ListPortInfo(device, skip_link_detection=True)
    port.serial_number, port.vid, port.pid = serial, vid, None if vid is None else 0x6001
    return port


def test_only_usb_adapters_are_asked_unasked_and_none_that_is_excluded():
    ports = [info("/dev/ttyUSB1", "B"), info("/dev/ttyUSB0", "A"), info("/dev/ttyS0", vid=None), info("/dev/ttyUSB2")]
    assert candidates(ports=ports) == ["/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB2"]
    assert candidates(["usb:a", "/dev/ttyUSB2"], ports) == ["/dev/ttyUSB1"]


def test_ports_get_names_that_stay():
    ports = [info("/dev/ttyUSB0", "A"), info("/dev/ttyUSB1")]
    assert stable_name("/dev/ttyUSB0", ports) == "usb:A"
    assert stable_name("/dev/ttyUSB1", ports) == "/dev/ttyUSB1"
    assert stable_name("tcp://host:1", ports) == "tcp://host:1"
    assert stable_name("usb:A", ports) == "usb:A"


def test_a_link_is_named_for_every_directory(tmp_path, monkeypatch):
    (tmp_path / "meter").touch()
    monkeypatch.chdir(tmp_path)
    assert stable_name("meter", []) == str(tmp_path / "meter")
    assert stable_name("COM3", []) == "COM3"


def test_the_profile_of_what_was_found_loads(tmp_path):
    with serve_pty(SimEsp300()) as one, serve_pty(SimNewport1830C()) as other:
        found = list(identify_all([one.url, other.url, other.url]))
        scpi = Kind("instrument that knows *IDN?", ("x",))
        found.append(PortReport("COM9", [Answer(scpi, 'ACME,"7"\x07', 9600)]))
        found.append(PortReport("COM10"))
        write_profile(tmp_path / "lab.toml", found)
        rig = from_toml(tmp_path / "lab.toml")
        rig.build()
    assert {"stage", "x", "power_meter"} <= set(rig.devices)
    text = (tmp_path / "lab.toml").read_text()
    assert '# link = "COM9"' in text
    assert "COM10" not in text
    with pytest.raises(ProfileError, match="lab.toml exists already → give another name; it is not overwritten"):
        write_profile(tmp_path / "lab.toml", [])
    assert (tmp_path / "lab.toml").read_text() == text
    with pytest.raises(ProfileError, match="give a file in a directory of yours"):
        write_profile(tmp_path / "no" / "lab.toml", [])


def test_names_are_used_once_and_a_bus_has_its_parts():
    esp300, bus = PROBES[0].kinds[0], PROBES[-1].kinds[0]
    answers = [Answer(bus, "0IN0E", 9600, "0"), Answer(bus, "AIN0E", 9600, "A")]
    reports = [PortReport("COM1", [Answer(esp300, "ESP300", 19200)]), PortReport("COM2", [Answer(esp300, "E", 19200)])]
    data = tomllib.loads(profile_text("lab", [*reports, PortReport("COM3", answers)], str))
    devices = {device["name"]: device for device in data["device"]}
    assert set(devices) == {"stage", "x", "stage_2", "x_2", "rotators", "rotator", "rotator_2"}
    assert devices["x_2"]["part_of"] == "stage_2"
    assert devices["rotator_2"] == {"name": "rotator_2", "part_of": "rotators", "axis": "A"}
    assert devices["rotators"]["link"] == "COM3"
