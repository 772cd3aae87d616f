"""The command line: exit codes and messages, each of one screen with the next step."""

import json
import re

import pytest
from bluesky import RunEngineInterrupted

from rdaq_ophyd import __version__, cli
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.cli import main
from rdaq_ophyd.errors import CatalogError
from rdaq_ophyd.sim import SimBench, SimEsp300, serve_tcp
from rdaq_ophyd.startup import Session


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, in which neither profiles nor data of the user are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TILED_PROFILES", str(tmp_path / "tiled-profiles"))
    monkeypatch.setenv("RDAQ_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("RDAQ_PROFILES", raising=False)
    return tmp_path


@pytest.fixture
def rdaq(here, capsys):
    """Run a command; exit code, standard output and standard error."""

    def run(*words):
        try:
            code = main(words)
        except SystemExit as end:  # argparse's way out
            code = end.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert len(err.splitlines()) < 25
        return code, out, err

    return run


def test_help_names_every_command(rdaq):
    code, out, _ = rdaq("--help")
    assert code == 0
    assert {"demo", "shell", "run", "sim", "doctor", "profiles", "export"} <= set(out.split())


COMMANDS = ["demo", "shell", "run", "sim", "doctor", "repair", "catalog", "profiles", "export"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_own_help(rdaq, command):
    code, out, _ = rdaq(command, "--help")
    assert code == 0
    assert f"rdaq {command}" in out


@pytest.mark.parametrize(
    "words", [("--from-files", "DATA"), ("DATA", "--from-files"), ("DATA",), ("--from-files",), ()]
)
def test_a_rebuild_takes_its_option_before_and_after_the_directory(rdaq, here, words):
    code, _, err = rdaq("catalog", "rebuild", *words)
    assert code == 1
    folder = here / ("DATA" if "DATA" in words else "data")
    assert f"'{folder}' is no data directory" in err
    assert ("nor 'frames'" in err) is ("--from-files" in words)


def test_version(rdaq):
    assert rdaq("--version") == (0, f"rdaq-ophyd {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "COMMAND"),
        (("scan",), "invalid choice: 'scan'"),
        (("demo", "--fast"), "unrecognized arguments: --fast"),
        (("doctor", "sim", "more"), "unrecognized arguments: more"),
        (("run",), "script"),
        (("run", "--host", "127.0.0.1:1"), "required: script"),
        (("run", "knife_edge", "--speed", "3"), "unrecognized arguments: --speed 3"),
        (("run", "knife_edge", "--nu", "3"), "unrecognized arguments: --nu 3"),
        (("run", "knife_edge", "--md", "sample"), "argument --md: 'sample' is no KEY=VALUE"),
        (("profiles", "more"), "rdaq profiles: error: unrecognized arguments: more"),
        (("sim", "--slow"), "unrecognized arguments: --slow"),
    ],
)
def test_what_no_command_knows_is_refused_with_the_usage(rdaq, words, complaint):
    code, out, err = rdaq(*words)
    assert code == 2
    assert out == ""
    assert "usage: rdaq" in err
    assert complaint in err


def test_a_plans_help_shows_limits_and_defaults(rdaq):
    code, out, _ = rdaq("run", "knife_edge", "--help")
    assert code == 0
    text = " ".join(out.split())
    assert "usage: rdaq run knife_edge" in text
    assert "--num NUM number of points, 5 to 100000 (default: 41)" in text
    assert "--stage DEVICE device (default: x)" in text
    assert text.count("(default: sim)") == 1
    _, out, _ = rdaq("run", "set_wavelength", "--help")
    assert "(required, where the rig has none named device)" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "knife_edg"), "unknown plan 'knife_edg' → did you mean knife_edge"),
        (("run", "zzz"), "unknown plan 'zzz' → known: "),
        (("run", "nope"), "unknown plan 'nope' → known: calibrate_rotator, "),
        (("run", "./nothing.py"), "no script at nothing.py → give a script's path"),
        (
            ("run", "knife_edge", "--profile", "laser_lap"),
            "unknown profile 'laser_lap' → did you mean laser_lab or laser_lab_toml?",
        ),
        (("shell", "simm"), "unknown profile 'simm' → did you mean sim?"),
        (("shell", "./nothing.py"), "no profile at nothing.py → give a profile's path, or one of: laser_lab"),
        (("profiles", "--copy", "tempalte"), "unknown profile 'tempalte' → did you mean template or template_toml?"),
    ],
)
def test_unknown_plans_and_profiles_are_answered_with_the_nearest(rdaq, words, message):
    code, _, err = rdaq(*words)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--num", "nan"), "num = 'nan': input should be a valid integer"),
        (("--num", "2"), "num = '2': input should be greater than or equal to 5 → number of points, 5 to 100000"),
        (("--start", "nan"), "start = 'nan': input should be a finite number → first blade position"),
        (("--stop", "inf"), "stop = 'inf': input should be a finite number"),
        (("--start", "left"), "start = 'left': input should be a valid number"),
    ],
)
def test_bad_values_are_refused_before_anything_starts(rdaq, here, option, message):
    code, out, err = rdaq("run", "knife_edge", *option)
    assert (code, out) == (1, "")
    assert message in err
    assert not (here / "data").exists()


@pytest.mark.parametrize("words", [("shell", "template"), ("run", "knife_edge")])
def test_a_data_directory_that_cannot_be_made(rdaq, words):
    code, _, err = rdaq(*words, "--data", "/proc/nothing")
    assert code == 1
    assert "data directory /proc/nothing: " in err
    assert "→ choose another: --data DIR or RDAQ_DATA=DIR" in err


def test_a_data_directory_that_is_a_file(rdaq, here):
    (here / "data").write_text("")
    code, _, err = rdaq("run", "knife_edge")
    assert code == 1
    assert f"data directory {here / 'data'}: File exists" in err


def test_a_full_disk_is_told_before_the_session_starts(rdaq, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.startup._settings.LOW_SPACE", 2**80)
    monkeypatch.setattr("rdaq_ophyd.startup._settings.check_directory.__defaults__", (2**80,))
    code, _, err = rdaq("run", "knife_edge")
    assert code == 1
    assert re.search(r"\d+ MiB free, \d+ MiB needed → free some space", err)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rig = (\n", r"bad\.py:1: '\(' was never closed → mend the file"),
        ("import math\nmath.sqrt(-1)\n", r"bad\.py:2: ValueError: "),
        ("rg = 1\n", r"bad\.py: no rig in this profile → a profile says `rig = Rig"),
    ],
)
def test_a_profile_with_an_error_names_file_and_line(rdaq, here, text, message):
    (here / "bad.py").write_text(text)
    code, _, err = rdaq("run", "knife_edge", "--profile", "./bad.py")
    assert code == 2
    assert re.search(message, err)


def test_a_factory_that_needs_what_nobody_gives(rdaq, here):
    (here / "bad.py").write_text(
        "from ophyd_async.core import Device\nfrom rdaq_ophyd.rig import Rig\nrig = Rig('bad')\n\n"
        "@rig.device\ndef x(stag) -> Device: ...\n\n@rig.device\ndef stage() -> Device: ...\n"
    )
    code, _, err = rdaq("run", "knife_edge", "--profile", "./bad.py")
    assert code == 2
    assert re.search(r"bad\.py:5: x\(\) needs 'stag', which nothing here provides → did you mean stage", err)


LAB = """
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.rig import Rig

rig = Rig("lab")

@rig.device
def controller() -> Esp300:
    return Esp300({esp300!r}, {{1: "x"}})

@rig.device
def x(controller: Esp300) -> Esp300Axis:
    return controller.axes[1]

@rig.device
def power_meter() -> Newport1830C:
    return Newport1830C({meter!r})
"""


class Answering(SimEsp300):
    """A controller of another make, which answers every question alike."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def execute(self, command, now):
        return f"{self.answer}\r\n".encode() if command.endswith("?") else None


@pytest.fixture(scope="module")
def bench():
    with SimBench(fast=True, lift_baud=True) as bench:
        yield bench


@pytest.fixture
def lab(here, bench):
    """Write a profile with these ports; by default those where the right instruments answer."""

    def write(**ports):
        urls = {"esp300": bench.urls["esp300"], "meter": bench.urls["newport_1830c"]} | ports
        (here / "lab.py").write_text(LAB.format(**urls))
        return "./lab.py"

    return write


@pytest.fixture
def scan(rdaq, lab):
    """`rdaq run knife_edge` over x with a profile of these ports; the catalog has no part in this."""

    def run(*words, **ports):
        return rdaq("run", "knife_edge", "--profile", lab(**ports), "--num", "5", *words)

    return run


@pytest.fixture
def no_server(monkeypatch):
    """Runs are recorded without Tiled, which these tests would have to wait for."""
    monkeypatch.setattr(EmbeddedCatalog, "start", lambda _self: None)
    monkeypatch.setattr(EmbeddedCatalog, "ready", lambda _self: "http://127.0.0.1")
    monkeypatch.setattr(EmbeddedCatalog, "wait_drained", lambda *_a, **_k: True)


@pytest.mark.usefixtures("no_server")
class TestInstruments:
    """What goes wrong with instruments: the run fails, the message names them."""

    def test_a_run_that_succeeds_says_its_uid(self, scan):
        code, out, err = scan("--stage", "x", "--start", "0", "--stop", "0.2")
        assert (code, err) == (0, "")
        assert re.fullmatch(r"[0-9a-f-]{36} success\n", out)

    def test_metadata_of_one_run_is_in_its_start_document(self, scan, here):
        words = ("--stage", "x", "--start", "-1e-1", "--stop", "0.2", "--md", "sample=GaAs", "--md", "run=3")
        assert scan(*words)[::2] == (0, "")
        (spool,) = (here / "data" / "spool").rglob("*.jsonl")
        (start,) = [json.loads(line)[1] for line in spool.read_text().splitlines() if line.startswith('["start"')]
        assert (start["sample"], start["run"]) == ("GaAs", "3")
        for pairs, said in ((["uid=1"], "the RunEngine's own"), (["a=1", "a=2"], "a given twice")):
            code, out, err = scan(*(word for pair in pairs for word in ("--md", pair)))
            assert (code, out, said in err) == (1, "", True)

    def test_a_run_that_the_catalog_does_not_get_has_succeeded_all_the_same(self, scan, monkeypatch):
        monkeypatch.setattr(EmbeddedCatalog, "wait_drained", lambda *_a, **_k: False)
        code, out, err = scan("--stage", "x", "--start", "0", "--stop", "0.2")
        assert code == 0
        assert out.endswith(" success\n")
        assert "the documents are in the spool" in err

        def broken(_self):
            raise CatalogError("Tiled did not start", hint="see its log")

        monkeypatch.setattr(EmbeddedCatalog, "ready", broken)
        code, _, err = scan("--stage", "x", "--start", "0", "--stop", "0.2")
        assert (code, err) == (0, "Tiled did not start → see its log\n")

    def test_an_interrupted_run_is_told(self, scan, monkeypatch):
        def interrupted(*_a, **_k):
            raise RunEngineInterrupted

        monkeypatch.setattr(Session, "run", interrupted)
        code, out, err = scan("--stage", "x")
        assert (code, out) == (130, "")
        assert "the axes were stopped and the run was closed as aborted" in err

    def test_a_script_by_its_path(self, rdaq, lab, here, caplog):
        left = here / "data" / "spool" / "interrupted" / "u.jsonl"
        left.parent.mkdir(parents=True)
        left.write_text('{"rdaq_spool": 1, "run": "u", "owner": "1-a", "created": 1.0}\n')
        (here / "mine.py").write_text(
            "from bluesky import plans as bp\nfrom bluesky.protocols import Readable\n\n"
            "def plan(power_meter: Readable, num: int):\n    yield from bp.count([power_meter], num)\n"
        )
        code, out, _ = rdaq("run", "mine.py", "--profile", lab(), "--num", "2")
        assert code == 0
        assert out.endswith(" success\n")
        assert f"1 run without an end, whose process is gone → rdaq repair {here / 'data'}" in caplog.text
        code, _, err = rdaq("run", "mine.py", "--profile", lab())
        assert code == 1
        assert "parameter num has no value → give --num" in err
        assert "(required)" in rdaq("run", "mine.py", "--help")[1]

    def test_an_unknown_device(self, scan):
        code, _, err = scan("--stage", "xx")
        assert code == 2
        assert "unknown device 'xx' → did you mean x?" in err

    def test_a_device_of_the_wrong_kind_is_answered_with_those_that_fit(self, scan):
        code, _, err = scan("--stage", "power_meter")
        assert code == 1
        assert "power_meter is a Newport1830C; stage needs Movable → choose another device for --stage: x" in err

    def test_a_target_out_of_limits(self, scan):
        code, _, err = scan("--stage", "x", "--stop", "200")
        assert code == 1
        assert "is outside the software limits → allowed: -25 to 25 mm" in err

    def test_an_absent_port_leaves_the_others_working(self, scan, caplog):
        code, _, err = scan("--stage", "x", meter="/dev/ttyUSB77")
        assert code == 2
        assert "device power_meter is not available: /dev/ttyUSB77: there is no such port" in err
        assert "device x is" not in err

    def test_swapped_ports(self, scan, bench):
        """Line ends and baud rates differ, so that neither instrument understands a word."""
        code, _, err = scan("--stage", "x", esp300=bench.urls["newport_1830c"], meter=bench.urls["esp300"])
        assert code == 2
        assert re.search(r"device controller is not available: \S+: no reply to b'VE\?\\r'", err)
        assert re.search(r"device power_meter is not available: \S+: no reply to b'W\?\\n'", err)
        assert "device 'x' is not available" in err

    def test_another_instrument_that_answers(self, scan):
        with serve_tcp(Answering("XPS-C8 Firmware V2.1.0"), lift_baud=True) as port:
            code, _, err = scan("--stage", "x", esp300=port.url.replace("socket://", "tcp://"), meter="/dev/ttyUSB77")
        assert code == 2
        assert "is no ESP300; to 'VE?' it said 'XPS-C8 Firmware V2.1.0' → is the port the right one?" in err


def test_a_script_without_a_plan(rdaq, here):
    (here / "empty.py").write_text("")
    code, _, err = rdaq("run", "empty.py")
    assert code == 2
    assert "no function `plan` in this script → name the script's plan `plan`" in err


def test_profiles_lists_and_copies_never_over_a_file(rdaq, here):
    code, out, _ = rdaq("profiles")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} >= {"laser_lab", "sim", "template"}
    assert rdaq("profiles", "--copy", "laser_lab") == (0, f"{here / 'laser_lab.py'}\n", "")
    assert "rig = Rig(" in (here / "laser_lab.py").read_text()
    code, _, err = rdaq("profiles", "--copy", "laser_lab")
    assert code == 1
    assert "exists already → remove it" in err


def test_ctrl_c_outside_of_a_plan(rdaq, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rdaq_ophyd.profile.names", interrupted)
    code, _, err = rdaq("profiles")
    assert (code, err) == (130, "interrupted\n")


def test_a_shell_without_ipython_says_what_to_install(rdaq, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "IPython.terminal.ipapp", None)
    code, _, err = rdaq("shell")
    assert code == 1
    assert err == "rdaq: IPython is not installed → pip install 'rdaq-ophyd[shell]'\n"


def test_the_entry_point_is_this_function():
    from importlib.metadata import entry_points

    (script,) = [e for e in entry_points(group="console_scripts") if e.name == "rdaq"]
    assert script.load() is cli.main
