"""Profiles: found by name or path, loaded, and refused with file and line."""

import pytest

from rdaq_ophyd import profile
from rdaq_ophyd.errors import ProfileError, UnknownName


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RDAQ_PROFILES", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def write(path, text):
    path.write_text(text)
    return str(path)


def test_the_shipped_profiles_are_found_by_name(folder):
    assert {"sim", "laser_lab", "template"} <= set(profile.names())
    assert profile.find("sim").name == "sim.py"


def test_a_nearer_profile_wins(folder):
    write(folder / "sim.py", "from rdaq_ophyd.rig import Rig\nrig = Rig('mine')\n")
    assert profile.load("sim").name == "mine"


def test_unknown_profiles_are_answered_with_the_nearest(folder):
    with pytest.raises(UnknownName, match="unknown profile 'laser_lap'.*did you mean laser_lab"):
        profile.find("laser_lap")
    with pytest.raises(UnknownName, match=r"no profile at .*nothing\.py"):
        profile.find("./nothing.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = (\n", r"bad\.py:2: "),
        ("x = 1\n\nraise ValueError('no port')\n", r"bad\.py:3: ValueError: no port"),
        ("x = 1\nraise SystemExit(2)\n", r"bad\.py:2: SystemExit: 2"),
        ("import argparse\nargparse.ArgumentParser().parse_args(['x'])\n", r"bad\.py:2: SystemExit: 2"),
        ("class Odd(BaseException): ...\nraise Odd\n", r"bad\.py:2: Odd"),
        ("import rdaq_ophyd.nothing\n", r"bad\.py:1: ModuleNotFoundError"),
        ("x = 1\n", r"no rig in this profile"),
        ("rig = 5\n", r"no rig in this profile"),
        (
            "from rdaq_ophyd.rig import Rig\nrig = Rig('r')\n@rig.device\ndef _x(): ...\n",
            r"bad\.py:3: '_x' cannot be a device name",
        ),
        ("from rdaq_ophyd.errors import LimitError\nraise LimitError('too far')\n", r"bad\.py:2: too far"),
    ],
)
def test_an_error_in_a_profile_names_file_and_line(folder, text, message):
    with pytest.raises(ProfileError, match=message) as error:
        profile.load(write(folder / "bad.py", text))
    assert error.value.exit_code == 2


def test_whoever_interrupts_the_loading_of_a_file_is_heard(folder):
    with pytest.raises(KeyboardInterrupt):
        profile.load(write(folder / "bad.py", "raise KeyboardInterrupt\n"))
