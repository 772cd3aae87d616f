"""Commands at a daemon of the whole simulated bench: what only the client could, and what no command takes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from benchmarks._profile import UNDELIVERED
from untraced import RDAQ

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import connect
from rdaq_ophyd.client._runs import What


@pytest.fixture(scope="module")
def served(optics_profile, tmp_path_factory):
    """Its two addresses."""
    folder = tmp_path_factory.mktemp("served")
    profile = folder / "optics.py"
    profile.write_text(optics_profile.read_text() + UNDELIVERED)
    words = ["serve", str(profile), "--port", "0", "--data", str(folder / "data"), "--operator", "ada"]
    own = {**os.environ, "RDAQ_STATE": str(folder / "state")}  # its stop at the end is not for other files' sessions
    with (folder / "log").open("w") as log, subprocess.Popen(
        [*RDAQ, *words], env=own, stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:  # fmt: skip
        addresses = [process.stdout.readline().strip() for _ in range(2)]
        try:
            assert addresses[0].startswith("127.0.0.1:"), (folder / "log").read_text()
            yield addresses
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def address(served):
    return served[0]


@pytest.fixture
def rdaq(address, capsys, monkeypatch):
    monkeypatch.setenv("RDAQ_HOST", address)
    monkeypatch.delenv("RDAQ_TOKEN", raising=False)

    def run(*words):
        try:
            code = main(list(words))
        except SystemExit as end:  # argparse's way out
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def client(address):
    with connect(address) as made:
        yield made


# -- single devices -------------------------------------------------------------------------------------------


def test_what_has_a_trigger_is_triggered(rdaq, client):
    code, out, _ = rdaq("trigger", "power_meter")
    assert (code, out.splitlines()[0].split()[0]) == (0, "power_meter-power")
    assert rdaq("set", "x.enabled", "True") == (0, "x.enabled True\n", "")
    assert rdaq("trigger", "x.home") == (0, "x.home done\n", "")
    assert client.devices.x.locate().readback == 0


def test_a_trigger_that_takes_too_long_is_stopped_and_told(rdaq, client):
    client.devices.y.enabled.set(True)
    client.devices.y.move(2.0)
    client.devices.y.home_velocity.set(0.1)
    code, out, err = rdaq("trigger", "y.home", "--timeout", "0.05")
    assert (code, out) == (1, "")
    assert "y-home took longer than 0.05 s, and was stopped → give it longer" in err


def test_one_device_is_stopped_and_nothing_is_latched(rdaq, client):
    client.devices.x.enabled.set(True)
    client.devices.x.velocity.set(0.1)
    moving = client.devices.x.moving(5.0)
    next(moving)
    assert rdaq("stop", "--only", "x", "it", "vibrates") == (
        0,
        "x: told to stop\n",
        "not recorded, as nothing is latched: it vibrates\n",
    )
    with pytest.raises(Exception, match="stop"):
        list(moving)
    client.devices.x.velocity.set(5.0)
    assert rdaq("mv", "x", "-1e-1", "mm")[:2] == (0, "x -0.1 mm\n")


def test_one_device_is_stopped_where_nobody_hears_of_it(rdaq, client, address):
    client.devices.x.enabled.set(True)
    client.devices.x.velocity.set(0.1)
    moving = client.devices.x.moving(5.0)
    next(moving)
    words = [sys.executable, "-m", "rdaq_ophyd.cli", "stop", "--only", "x", "it", "vibrates", "--host", address]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        process.stderr.close()
        assert process.wait(60) == 128 + signal.SIGPIPE
    with pytest.raises(Exception, match="stop"):
        list(moving)
    client.devices.x.velocity.set(5.0)


def test_a_device_is_tried_again(rdaq):
    assert rdaq("reconnect", "power_meter") == (0, "power_meter is connected\n", "")


def test_another_unit_is_refused_and_the_own_is_taken(rdaq):
    assert rdaq("set", "x.velocity", "2", "--host", os.environ["RDAQ_HOST"], "mm/s") == (0, "x.velocity 2.0\n", "")
    code, _, err = rdaq("set", "x.velocity", "3", "m/s")
    assert (code, err) == (1, "rdaq: x.velocity has mm/s, not 'm/s' → give the value in mm/s\n")
    assert rdaq("read", "x.velocity")[1].split()[-1] == "2.0"


# -- what a rig keeps -----------------------------------------------------------------------------------------


def test_metadata_of_all_runs_and_of_one(rdaq, client):
    code, out, _ = rdaq("md", "cooled=yes", "note=a = b")
    assert (code, 'cooled           "yes"\n' in out, 'note             "a = b"\n' in out) == (0, True, True)
    assert "power            [1, 0.5]\n" in rdaq("md", "--json", "power=[1, 0.5]")[1]
    documents = client.documents()
    code, out, err = rdaq("run", "--md", "run=3", "count", "--detectors", "power_meter", "--md", "sample=GaAs")
    assert (code, out.split()[1]) == (0, "success"), err
    name, start = next(iter(documents))
    documents.close()
    kept = {key: start[key] for key in ("cooled", "note", "power", "sample", "run")}
    assert (name, kept) == (
        "start",
        {"cooled": "yes", "note": "a = b", "power": [1, 0.5], "sample": "GaAs", "run": "3"},
    )
    code, out, _ = rdaq("md", "--forget", "cooled", "--forget", "note", "--forget", "power")
    assert (code, "cooled" in out) == (0, False)


def test_a_script_gets_metadata_and_its_own_options(rdaq, client, tmp_path):
    script = tmp_path / "shift.py"
    script.write_text(
        "import bluesky.plan_stubs as bps\n\ndef plan(by: float):\n    yield from bps.open_run({'by': by})\n"
        "    yield from bps.close_run()\n"
    )
    documents = client.documents()
    code, _, err = rdaq("run", "--host", client.address, str(script), "--md", "sample=GaAs", "--by", "-1e-3")
    assert code == 0, err
    _, start = next(iter(documents))
    documents.close()
    assert (start["sample"], start["by"]) == ("GaAs", -1e-3)


def test_positions_are_kept_shown_and_forgotten(rdaq):
    assert rdaq("positions", "focus", "x=1", "y=-2e-1")[:2] == (0, "focus            x 1, y -0.2\n")
    assert rdaq("positions")[1] == "focus            x 1, y -0.2\n"
    assert rdaq("positions", "focsu")[::2] == (2, "rdaq: unknown position 'focsu' → did you mean focus?\n")
    assert rdaq("positions", "focus", "--forget", "focus") == (0, "", "")
    assert rdaq("positions") == (0, "", "")


def test_a_calibration_is_set_and_taken_back(rdaq):
    code, out, _ = rdaq("calibrations", "pixel_size", "3.5", "--why", "new lens")
    assert (code, out.split()[:2]) == (0, ["pixel_size", "3.5"])
    assert re.search(r"pixel_size set to 3\.5 um by \w+: new lens", out)
    code, out, _ = rdaq("calibrations", "--undo", "pixel_size", "--why", "it was the old one")
    assert (code, out.split()[:2]) == (0, ["pixel_size", "3.45"])
    assert re.search(r"pixel_size put back to 3\.45 um by \w+: it was the old one", out)


def test_plans_wait_for_a_condition_until_it_is_removed(rdaq):
    code, out, _ = rdaq("suspenders", "power_below", "power_meter.power", "floor=-1", "settle=0")
    found = re.fullmatch(r"(\S+) +power_meter-power: good\n", out)
    assert (code, bool(found)) == (0, True)
    assert rdaq("suspenders")[1] == out
    assert rdaq("suspenders", "--remove", found[1]) == (0, "", "")


def test_what_a_session_is(rdaq):
    code, out, _ = rdaq("session")
    assert code == 0
    assert "operator         ada\n" in out
    assert "power_meter.wavelength follows laser.wavelength\n" in out


CLEANS_UP = """from bluesky import plan_stubs as bps, preprocessors as bpp, protocols
def plan(x: protocols.Movable):
    yield from bpp.finalize_wrapper((print("begun") or msg for msg in bps.sleep(1000)), bps.mv(x, 2))
"""


@pytest.mark.parametrize(("how", "place"), [("abort", 2), ("halt", 0)])
def test_a_plan_is_ended_with_its_clean_up_or_without(rdaq, client, tmp_path, how, place):
    (tmp_path / "scan.py").write_text(CLEANS_UP)
    x = client.devices.x
    x.enabled.set(True)
    x.move(0.0)
    run = client.begin_script(tmp_path / "scan.py")
    assert next(event for event in run if event.what == What.OUTPUT).output == "begun"
    assert rdaq(how)[0] == 0
    for _ in run:
        pass
    assert (run.exit_status, x.locate().readback) == ("abort", pytest.approx(place, abs=0.01))


# -- what no command takes ------------------------------------------------------------------------------------

LISTS = ("run", "move", "--axes")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*LISTS, "x,,y", "--targets", "1,2"), 2, "argument --axes: 'x,,y' has an empty part"),
        ((*LISTS, ",", "--targets", "1"), 2, "argument --axes: ',' has an empty part"),
        ((*LISTS, "", "--targets", "1"), 2, "argument --axes: '' has an empty part"),
        ((*LISTS, "x", "--targets", "1,a"), 2, "argument --targets: 'a' is no number: write it as 0.5"),
        ((*LISTS, "x", "--targets", "nan"), 1, "fail: x: nan is not a finite position → give a number"),
        ((*LISTS, "x,y", "--targets", "1"), 1, "fail: 1 targets for 2 axes → give one target for each axis"),
        ((*LISTS, "x,x", "--targets", "0,0"), 1, "fail: x named twice → give one target for each axis"),
        ((*LISTS, "x", "--targets", "-1e3"), 1, "target -1000 mm is outside the software limits → allowed: -25 to 25"),
        ((*LISTS, "x", "--targets", "1", "--rel", "true"), 2, "unrecognized arguments: --rel true"),
        (("run", "count"), 2, "no device was given for detectors → give --detectors, of those that fit: "),
        (("run", "count", "--detectors", "x,,y"), 2, "argument --detectors: 'x,,y' has an empty part"),
        (("run", "count", "--detectors", "x", "--num", "-1"), 1, "num = '-1': input should be greater than or equal"),
        (("run", "count", "--detectors", "x", "--md", "a"), 2, "argument --md: 'a' is no KEY=VALUE"),
        (("run", "count", "--detectors", "x", "--md", "a=1", "--md", "a=2"), 1, "a given twice → give each once"),
        (("run", "count", "--detectors", "x", "--md", "uid=1"), 1, "metadata 'uid' is the RunEngine's own"),
        (("run", "knife"), 2, "unknown plan 'knife' → did you mean knife_edge"),
        (("run", "/nowhere/scan.py"), 1, "/nowhere/scan.py: No such file or directory → give a script's path"),
        (("set", "x.velocity", "NaN"), 1, "x-velocity: nan is not a finite number → allowed: 0 to "),
        (("set", "x.velocity", "null"), 1, "x-velocity: 'null' is not a number"),
        (("set", "x.velocity", '{"a": 1}'), 1, "x-velocity: '{\"a\": 1}' is not a number"),
        (("set", "x.velocity", "-1e9"), 1, "x-velocity: -1e+09 mm/s is outside 0 to "),
        (("set", "x.velocity", "1", "mm/s", "more"), 2, "rdaq set: error: unrecognized arguments: more"),
        (("set", "x.enabled", "yes"), 1, "x-enabled: 'yes' is not True or False"),
        (("set", "x.readback", "1"), 1, "x.readback is no signal that can be set → it can be read alone"),
        (("set", "calibration.pixel_size", "3"), 1, "is kept with its reason → rdaq calibrations NAME VALUE --why WHY"),
        (("set", "x.home", "1"), 1, "`rdaq trigger` triggers it"),
        (("mv", "x", "-1e3"), 1, "target -1000 mm is outside the software limits → allowed: -25 to 25 mm"),
        (("mv", "x", "-inf"), 1, "x: -inf is not a finite number → give a number"),
        (("mv", "x", "1 mm"), 2, "argument target: '1 mm' is no number"),
        (("mv", "x.velocity", "1"), 1, "x.velocity is a signal and does not move → `rdaq set x.velocity VALUE`"),
        (("trigger", "x.velocity"), 1, "x.velocity is a signal, which has no trigger → `rdaq read x.velocity`"),
        (("trigger", "x"), 1, "x cannot be triggered → what can, of its parts: "),
        (("trigger", "power_meter", "--timeout", "nan"), 1, "power_meter: timeout nan s → up to 3600 s"),
        (("stop", "--only", "nosuch"), 2, "unknown device 'nosuch'"),
        (("reconnect", "nosuch"), 2, "unknown device 'nosuch'"),
        (("watch", "--samples", "cam"), 2, "cam is no analog input → analog inputs: adc"),
        (("watch", "--csv", "--documents"), 1, "--csv of what? → add --samples NAME, --frames NAME or --log"),
        (("watch", "--every", "2"), 1, "--every of what?"),
        (("watch", "--samples", "adc", "--scale", "2"), 1, "--scale of what? → add --frames NAME"),
        (("watch", "--frames", "cam", "--level", "INFO"), 1, "--level of what? → add --log"),
        (("watch", "--log", "--every", "nan"), 1, "--every nan → give 0.01 to 3600 seconds"),
        (("pause",), 1, "no plan can be paused: the engine is idle"),
        (("finish",), 1, "no plan can be ended: the engine is idle"),
        (("halt",), 1, "no plan can be ended: the engine is idle"),
        (("resume", "--accept-changes", " "), 1, "accept_changes needs a reason"),
        (("md", "a"), 2, "argument KEY=VALUE: 'a' is no KEY=VALUE"),
        (("md", "--json", "a=b"), 1, "a: 'b' is no JSON"),
        (("md", "--json", "a=NaN"), 1, "a: 'NaN' is no JSON"),
        (("md", "--json", "a=1e999"), 1, "metadata a: Out of range float values"),
        (("md", "a=\udcff"), 1, "str is not valid UTF-8: surrogates not allowed → give whole text"),
        (("md", "versions=1"), 1, "metadata 'versions' is the session's own"),
        (("md", "--forget", "nosuch"), 2, "unknown metadata 'nosuch'"),
        (("positions", "x=1"), 1, "x=1: a place without a name → rdaq positions NAME AXIS=PLACE"),
        (("positions", "here", "x=a"), 2, "argument AXIS=PLACE: 'a' is no number"),
        (("positions", "here", "x=nan"), 1, "here: x = nan is not a finite position"),
        (("positions", "here", "nosuch=1"), 2, "unknown device 'nosuch'"),
        (("calibrations", "pixel_size"), 1, "pixel_size without a value"),
        (("calibrations", "pixel_size", "1"), 1, "a calibration is changed without a reason"),
        (("calibrations", "--why", "because"), 1, "--why of what?"),
        (("calibrations", "nosuch", "1", "--why", "because"), 2, "unknown device 'calibration.nosuch'"),
        (("calibrations", "--undo", "pixel_siz", "--why", "because"), 2, "did you mean pixel_size?"),
        (("suspenders", "power_below"), 1, "power_below of what?"),
        (("suspenders", "power_below", "power_meter.power"), 1, "power_below without floor → its numbers: floor"),
        (("suspenders", "power_below", "power_meter.power", "floor=1", "kind=2"), 1, "power_below has no kind → "),
        (("suspenders", "power", "power_meter.power"), 2, "unknown suspender 'power' → did you mean power_below?"),
        (("suspenders", "--remove", "nosuch"), 2, "unknown suspender 'nosuch'"),
    ],
)  # fmt: skip
def test_what_no_command_takes_is_one_line_with_the_next_step(rdaq, words, code, said):
    found, out, err = rdaq(*words)
    assert (found, out) == (code, "")
    assert said in err
    assert len([line for line in err.splitlines() if line.startswith(("rdaq", "fail"))]) == 1


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "--host '' names no server → give HOST:PORT"),
        (":::", "':::' is no address of a server → give host:port, the first line that `rdaq serve` prints"),
        ("127.0.0.1:", "'127.0.0.1:' is no address of a server"),
        ("127.0.0.1:abc", "'127.0.0.1:abc' is no address of a server"),
        ("127.0.0.1:99999", "there is no port 99999 → give host:port, 1 to 65535"),
        ("a b:1", "'a b:1' is no address of a server"),
        ("PAGE", " is the address of a page → give host:port"),
        ("127.0.0.1:1", "Connection refused → is `rdaq serve` running there"),
    ],
)
def test_what_is_no_server_is_told(rdaq, served, host, said):
    for command in (("ls",), ("stop",), ("stop", "--only", "x"), ("reset", "all well"), ("run", "count")):
        code, out, err = rdaq(*command, "--host", host.replace("PAGE", served[1]))
        assert (code, out) == (1, "")
        assert said in err, command


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory"),
        (b"", "0 words are no token"),
        (b"two words\n", "2 words are no token"),
        (b"\xff\xfe", "there is no token in it"),
        (b"a" * 100_000, "this is no token → one word of ASCII"),
    ],
)
def test_what_is_no_token_is_told_and_not_shown(rdaq, tmp_path, text, said):
    path = tmp_path / "token"
    if text is not None:
        path.write_bytes(text)
    code, out, err = rdaq("ls", "--token-file", str(path))
    assert (code, out, said in err, "aaa" in err) == (1, "", True, False)


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("latin.py", b'def plan():\n    yield "\xff"\n', 1, "latin.py is no text: "),
        ("empty.py", b" \n", 1, "empty.py is empty → send a script with a function `plan`"),
        ("long.py", b"#" * (1 << 20) + b"#", 1, "long.py is longer than 1048576 bytes"),
        ("wrong.py", b"x =\n", 2, "rdaq: wrong.py:1: invalid syntax → mend the file"),
        ("nul.py", b"#\0\n", 2, "rdaq: nul.py:0: source code string cannot contain null bytes → mend the file"),
    ],
)
def test_what_is_no_script_is_told(rdaq, tmp_path, name, text, code, said):
    (tmp_path / name).write_bytes(text)
    found, out, err = rdaq("run", str(tmp_path / name))
    assert (found, out, said in err) == (code, "", True), err


def test_a_folder_is_no_script(rdaq, tmp_path):
    (tmp_path / "scan.py").mkdir()
    assert "scan.py: Is a directory → give a script's path" in rdaq("run", str(tmp_path / "scan.py"))[2]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "'' is no host → HOST, or HOST:PORT"),
        ("a b", "'a b' is no host"),
        ("ftp://127.0.0.1", "'ftp://127.0.0.1' is no host"),
        ("127.0.0.1:0", "'127.0.0.1:0' is no host"),
        ("127.0.0.1:1", "Connection refused → does `rdaq serve` run there?"),
        ("GRPC", "what answers there is no web server → give the second line that `rdaq serve` prints"),
    ],
)
def test_what_is_no_page_is_told(rdaq, address, host, said):
    code, out, err = rdaq("view", host.replace("GRPC", address), "--no-browser")
    assert (code, out) == (1, "")
    assert said in err
    assert err.isprintable() or err[:-1].isprintable()


HALF = os.fsdecode(b"\xff")


def test_a_word_that_is_no_text_stops_everything_all_the_same(rdaq):
    code, out, _ = rdaq("stop", "smoke", HALF, "--host", os.environ["RDAQ_HOST"])
    assert (code, "x: confirmed\n" in out) == (0, True)
    assert "smoke ?" in rdaq("mv", "x", "0")[2]
    assert rdaq("reset", "no", "smoke")[0] == 0


@pytest.mark.parametrize(
    "words", [("set", "x.velocity", HALF), ("run", HALF), ("abort", "a", HALF), ("watch", "--samples", HALF)]
)
def test_a_word_that_is_no_text_is_refused_elsewhere(rdaq, words):
    assert rdaq(*words) == (2, "", "rdaq: '\\udcff' is no text in UTF-8 → write it in another way\n")


@pytest.mark.parametrize(
    ("command", "code"), [(["ls", "x"], 128 + signal.SIGPIPE), (["watch"], 0), (["watch", "--log"], 0)]
)
def test_whoever_has_read_enough_ends_it_without_a_word(address, command, code):
    words = [sys.executable, "-m", "rdaq_ophyd.cli", *command, "--host", address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (code, "")
