"""The page of what the shell can from elsewhere: its calls exist, and its commands do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import Client
from rdaq_ophyd.errors import UnitsError

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "client.md"
ONLY_THE_CLIENT = """
import sys
from rdaq_ophyd.client import connect
with connect(sys.argv[1]) as client:
    assert "power_meter" in [device.name for device in client.devices]
    client.devices.x.move(0.25, units="mm")
    place = client.devices.x.locate()
    run = client.count("power_meter")
    assert client.stop_all("from elsewhere").reason == "from elsewhere"
    client.reset("nobody was hurt")
    print(place.units, run.exit_status, sorted(name for name in sys.modules if name.startswith("rdaq_ophyd.")))
"""


def rows():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and line.count("|") == 4:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_call_of_the_page_is_there():
    named = {name for _, cell, _ in rows() for name in re.findall(r"client\.(\w+)", cell)} - {"devices"}
    assert len(named) > 25
    assert {name for name in named if not hasattr(Client, name)} == set()


@pytest.fixture
def rdaq(server, home, capsys):
    def run(line):
        code = main([*line.split(), "--host", server.address])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_every_command_of_the_page_is_there(rdaq):
    commands = {word for *_, cell in rows() for line in re.findall(r"`([^`]+)`", cell) for word in line.split()[:1]}
    commands -= {"rdaq", "…"}
    wanted = (
        "ls read set mv trigger reconnect run stop reset pause resume finish abort halt watch session md positions "
        "calibrations suspenders"
    )
    assert commands >= set(wanted.split())
    for command in commands - {"run"}:  # whose help is that of a plan
        with pytest.raises(SystemExit) as shown:
            rdaq(f"{command} --help")
        assert shown.value.code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ls", "power_meter"),
        ("ls x", "velocity"),
        ("read x y", "x"),
        ("read x.velocity", "5"),
        ("set x.velocity 5", "5"),
        ("mv x 1 mm", "x 1 mm"),
        ("mv x 0.5 --relative", "x 0.5 mm"),
        ("run count --detectors power_meter", "success"),
        ("run move --axes x,y --targets 1,0.5", ""),
        ("run save_position --name focus --axes x,y", ""),
        ("run restore_position --name focus", ""),
        ("run count --detectors power_meter --md sample=GaAs", "success"),
        ("trigger x.home", "x.home done"),
        ("md sample=GaAs", "GaAs"),
        ("positions focus x=1", "x 1"),
        ("calibrations pixel_size 3.46 --why grid", "set to 3.46 um"),
        ("calibrations", "pixel_size"),
        ("suspenders", ""),
        ("session", "operator         ada"),
        ("reconnect x", "x is connected"),
        ("stop --only x", "told to stop"),
        ("stop smoke", "confirmed"),
        ("reset nobody was hurt", ""),
    ],
)
def test_commands_do_what_the_page_says(rdaq, line, said):
    code, text = rdaq(line)
    assert (code, said in text) == (0, True), text


def test_a_list_of_what_are_no_numbers_is_refused_here(rdaq, capsys):
    with pytest.raises(SystemExit) as refused:
        rdaq("run move --axes x --targets here")
    assert (refused.value.code, "--targets: 'here' is no number" in capsys.readouterr().err) == (2, True)


def test_another_unit_is_refused(client):
    before = client.devices.x.locate().readback
    with pytest.raises(UnitsError, match="x moves in mm, not 'um' → give the position in mm"):
        client.devices.x.move(3.0, units="um")
    assert client.devices.x.locate().readback == before


def test_another_process_needs_the_client_alone(server, home):
    words = [sys.executable, "-c", ONLY_THE_CLIENT, server.address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mm success ")
    layers = {name.split(".")[1] for name in re.findall(r"'(rdaq_ophyd\.[\w.]+)'", done.stdout)}
    assert not layers & {"startup", "server", "rig", "devices", "link", "frames", "catalog", "plans"}
