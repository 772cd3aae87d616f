"""`rdaq doctor`: each thing that is wrong is a finding with its next step, and the exit code says so."""

import pytest

from rdaq_ophyd import doctor, profile
from rdaq_ophyd.cli import main
from rdaq_ophyd.sim import SimMaiTai, serve_pty


@pytest.fixture
def report(capsys):
    def read() -> str:
        return capsys.readouterr().out

    return read


def test_a_working_set_up(profile_path, data_dir, report, nothing_left_by_module, untraced):
    assert main(["doctor", str(profile_path), "--data", str(data_dir)]) == 0
    text = report()
    for line in ("ok   python", "ok   packages", "ok   data", "ok   tiled", "ok   x ", "ok   power_meter"):
        assert line in text, line
    assert "rdaq profiles --copy laser_lab" in text


def test_wrong_things_are_named_with_the_next_step(bench, tmp_path, report, monkeypatch):
    monkeypatch.setattr(doctor, "_catalog", lambda: iter(()))
    monkeypatch.setattr(doctor, "_versions", lambda: iter(()))
    profile = tmp_path / "wrong.py"
    profile.write_text(
        "from rdaq_ophyd.devices.esp300 import Esp300\n"
        "from rdaq_ophyd.devices.newport_1830c import Newport1830C\n"
        "from rdaq_ophyd.rig import Rig\n"
        "rig = Rig('wrong')\n"
        "@rig.device\n"
        "def absent() -> Esp300:\n"
        "    return Esp300('/dev/ttyUSB77', {1: 'x'})\n"
        "@rig.device\n"
        f"def swapped() -> Newport1830C:\n    return Newport1830C({bench.ports['esp300']!r})\n"
    )
    assert main(["doctor", str(profile), "--data", str(tmp_path / "d")]) == 1
    text = report()
    assert "fail absent" in text
    assert "/dev/ttyUSB77" in text
    assert "fail swapped" in text


def test_an_unusable_data_directory(report, monkeypatch):
    for check in ("_catalog", "_versions", "_camera"):
        monkeypatch.setattr(doctor, check, lambda: iter(()))
    assert main(["doctor", "--data", "/proc/nothing"]) == 1
    assert "fail data" in report()


def test_a_profile_with_an_error_in_it(tmp_path, report, monkeypatch):
    for check in ("_catalog", "_versions", "_camera"):
        monkeypatch.setattr(doctor, check, lambda: iter(()))
    (tmp_path / "bad.py").write_text("x = (\n")
    assert main(["doctor", str(tmp_path / "bad.py"), "--data", str(tmp_path / "d")]) == 1
    assert "bad.py:1" in report()


def test_missing_and_unfitting_packages_are_named(monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: ["nothing-like-this>=1", "numpy<1", "x; extra == 'y'"])
    found = [f for f in doctor._versions() if f.about == "packages"]
    assert found[0].level == "fail"
    assert "nothing-like-this is missing; numpy" in found[0].text


@pytest.mark.parametrize(
    ("folder", "level", "words"),
    [
        ("", "ok", "MICROMANAGER_PATH is not set"),
        ("{tmp}", "ok", "adapters in "),
        ("/no/where", "fail", "adapters in /no/where, which does not exist"),
    ],
)
def test_micro_manager_tells_which_adapters_it_needs(monkeypatch, tmp_path, folder, level, words):
    interface = pytest.importorskip("pymmcore", reason="pymmcore is not installed").__version__.split(".")[3]
    monkeypatch.setenv("MICROMANAGER_PATH", folder.format(tmp=tmp_path))
    (found,) = doctor._micromanager()
    assert found.level == level
    assert f"device interface {interface}; {words}" in found.text


def test_ports_are_listed_with_permission_and_stable_name(monkeypatch, tmp_path):
    class Port:
        device, description = str(tmp_path / "absent"), "USB serial"
        serial_number = vid = pid = None

    monkeypatch.setattr(doctor.list_ports, "comports", lambda **_: [Port()])
    (finding,) = doctor._ports()
    assert finding.level == "fail"
    assert "dialout" in str(finding)
    monkeypatch.setattr(doctor.list_ports, "comports", lambda **_: [])
    (finding,) = doctor._ports()
    assert finding.level == "note"


def test_identify_tells_what_is_where_and_writes_a_profile(bench, tmp_path, report, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ports = [bench.ports["esp300"], bench.ports["newport_1830c"]]
    assert main(["doctor", "--identify", *ports, "--write", "lab.toml"]) == 0
    text = report()
    assert f"ok   esp300      {ports[0]}" in text
    assert "ESP300 Version 3.04" in text
    assert f"{ports[1]}: Newport 1830-C" in text
    assert "written: lab.toml" in text
    rig = profile.load("./lab.toml")
    rig.build()
    assert set(rig.devices) == {"stage", "x", "power_meter"}
    before = (tmp_path / "lab.toml").read_text()
    assert main(["doctor", "--identify", *ports, "--write", "lab.toml"]) == 2
    assert (tmp_path / "lab.toml").read_text() == before


def test_identify_leaves_alone_what_is_excluded_and_asks_nothing_without_ports(bench, report, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(doctor, "identify_all", lambda ports: asked.append(list(ports)) or iter(()))
    monkeypatch.setattr(doctor, "candidates", lambda excluded: [])
    assert main(["doctor", "--identify", "COM1", "COM2", "--except", "COM1"]) == 0
    assert main(["doctor", "--identify"]) == 0
    assert asked == [["COM2"], []]
    assert "no port to ask" in report()
    assert main(["doctor", "--write", "lab.toml"]) == 1
    assert main(["doctor", "--identify", "--write", "lab.py"]) == 2
    assert "--write and --except belong to --identify" in capsys.readouterr().err


def test_plain_doctor_asks_no_port(report, monkeypatch, tmp_path):
    for check in ("_catalog", "_versions", "_camera"):
        monkeypatch.setattr(doctor, check, lambda: iter(()))

    def asked(*_):
        raise AssertionError("a port was asked")

    monkeypatch.setattr(doctor, "identify_all", asked)
    assert main(["doctor", "--data", str(tmp_path / "d")]) in {0, 1}


def test_identify_of_a_port_that_is_not_there_fails(report):
    assert main(["doctor", "--identify", "/dev/ttyUSB77"]) == 1
    assert "/dev/ttyUSB77: there is no such port" in report()


def test_a_laser_that_is_on_is_left_on(tmp_path, monkeypatch, report):
    for check in ("_catalog", "_versions", "_ports", "_camera", "_micromanager"):
        monkeypatch.setattr(doctor, check, lambda: iter(()))
    laser = SimMaiTai(warm=100.0, watchdog=0.0)
    laser.on = True
    with serve_pty(laser, lift_baud=True) as port:
        lab = tmp_path / "lab.toml"
        lab.write_text(
            f'format = 1\n[rig]\nname = "lab"\n[[device]]\nname = "laser"\nclass = "maitai"\nlink = "{port.url}"\n'
        )
        assert main(["doctor", str(lab), "--data", str(tmp_path / "d")]) == 0
        assert "MaiTai is connected" in report()
        assert b"WATChdog" not in port.log.bytes()
        assert port.call(lambda _: (laser.on, laser.watchdog)) == (True, 0.0)
