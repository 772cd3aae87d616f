"""A plan run with a TOML profile against simulated instruments: the record says with which calibrations."""

import json
from pathlib import Path

import pytest
from optics import no_tiled

from rdaq_ophyd.cli import main
from rdaq_ophyd.sim import start_bench
from rdaq_ophyd.startup import start
from rdaq_ophyd.startup._record import file_hash

ROOT = Path(__file__).parents[2]
PLAN = """
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.protocols import Movable, Readable

def plan(angle: Movable, power_meter: Readable, polariser_zero: Movable, num: int = 3):
    yield from bps.mv(polariser_zero, 5.0)
    yield from bp.scan([power_meter], angle, -1.0, 1.0, num)
"""


@pytest.fixture
def bench():
    """Of its own: when a session with the laser ends, the laser's watchdog switches it off."""
    with start_bench(fast=True, lift_baud=True) as process:
        yield process


@pytest.fixture
def lab(bench, tmp_path, monkeypatch):
    """A directory with a copy of the shipped profile, and the ports that it names."""
    monkeypatch.chdir(tmp_path)
    instruments = {"ESP300": "esp300", "METER": "newport_1830c", "ELL14": "ell14", "LASER": "maitai"}
    for variable, instrument in instruments.items():
        monkeypatch.setenv(f"RDAQ_SIM_{variable}", bench.ports[instrument])
    monkeypatch.setenv("TILED_PROFILES", str(tmp_path / "tiled-profiles"))
    no_tiled(monkeypatch)
    assert main(["profiles", "--copy", "laser_lab_toml"]) == 0
    (tmp_path / "scan.py").write_text(PLAN)
    return tmp_path


def documents(data: Path) -> list[tuple[str, dict]]:
    (spooled,) = (p for p in (data / "spool").rglob("*.jsonl"))
    lines = [json.loads(line) for line in spooled.read_text().splitlines()]
    return [tuple(line) for line in lines if isinstance(line, list)]


def test_rdaq_run_with_a_toml_profile(lab, capsys, nothing_left_by_module):
    options = ["--profile", "./laser_lab_toml.toml", "--data", str(lab / "data"), "--operator", "ada"]
    assert main(["run", "scan.py", *options, "--polariser-zero", "calibration.polariser_zero"]) == 0
    assert capsys.readouterr().out.endswith(" success\n")
    said = documents(lab / "data")
    start_document = next(document for name, document in said if name == "start")
    assert start_document["rig"]["name"] == "laser_lab_toml"
    assert start_document["rig"]["room"] == "1.23"
    assert start_document["rig"]["profile_hash"] == file_hash(lab / "laser_lab_toml.toml")
    zero = start_document["calibrations"]["polariser_zero"]
    assert (zero["value"], zero["units"], zero["by"]) == (5.0, "deg", "ada")
    assert zero["time"]
    assert start_document["calibrations"]["pixel_size"] == {"value": 3.45, "units": "um", "by": "profile"}
    events = [document["data"] for name, document in said if name == "event"]
    assert [e["angle"] for e in events if "angle" in e and "calibration-polariser_zero" not in e] == pytest.approx(
        [-1, 0, 1], abs=1e-2
    )
    assert {e["calibration-polariser_zero"] for e in events if "calibration-polariser_zero" in e} == {5.0}

    with start("./laser_lab_toml.toml", data_dir=lab / "data", operator="bob") as session:
        assert session.rig.calibration.value("polariser_zero") == 5.0
        assert session.rig.calibration.undo("polariser_zero", why="wrong marker") == 0.0
        assert session.rig.calibration.history()[-1].by == "bob"
