"""A plan run with a TOML profile against simulated instruments: the record says with which calibrations."""

import json
from pathlib import Path

import pytest

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.cli import main
from rdaq_ophyd.startup import start
from rdaq_ophyd.startup._record import file_hash

ROOT = Path(__file__).parents[2]
PLAN = """
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.protocols import Movable, Readable

def plan(theta: Movable, angle: Movable, power_meter: Readable, rotator_zero: Movable, num: int = 3):
    yield from bps.mv(theta.enabled, True)
    yield from bps.mv(rotator_zero, 5.0)
    yield from bp.scan([power_meter], angle, -1.0, 1.0, num)
"""


@pytest.fixture
def lab(bench, tmp_path, monkeypatch):
    """A directory with a copy of the shipped profile, and the ports that it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RDAQ_SIM_ESP300", bench.ports["esp300"])
    monkeypatch.setenv("RDAQ_SIM_METER", bench.ports["newport_1830c"])
    monkeypatch.setenv("TILED_PROFILES", str(tmp_path / "tiled-profiles"))
    # Runs are recorded without Tiled, which this test would have to wait for.
    monkeypatch.setattr(EmbeddedCatalog, "start", lambda _self: None)
    monkeypatch.setattr(EmbeddedCatalog, "ready", lambda _self: "http://127.0.0.1")
    monkeypatch.setattr(EmbeddedCatalog, "wait_drained", lambda *_a, **_k: True)
    assert main(["profiles", "--copy", "laser_lab_toml"]) == 0
    (tmp_path / "scan.py").write_text(PLAN)
    return tmp_path


def documents(data: Path) -> list[tuple[str, dict]]:
    (spooled,) = (p for p in (data / "spool").rglob("*.jsonl"))
    lines = [json.loads(line) for line in spooled.read_text().splitlines()]
    return [tuple(line) for line in lines if isinstance(line, list)]


def test_rdaq_run_with_a_toml_profile(lab, capsys, nothing_left_by_module):
    options = ["--profile", "./laser_lab_toml.toml", "--data", str(lab / "data"), "--operator", "ada"]
    assert main(["run", "scan.py", *options, "--rotator-zero", "calibration.rotator_zero"]) == 0
    assert capsys.readouterr().out.endswith(" success\n")
    said = documents(lab / "data")
    start_document = next(document for name, document in said if name == "start")
    assert start_document["rig"]["name"] == "laser_lab_toml"
    assert start_document["rig"]["room"] == "1.23"
    assert start_document["rig"]["profile_hash"] == file_hash(lab / "laser_lab_toml.toml")
    zero = start_document["calibrations"]["rotator_zero"]
    assert (zero["value"], zero["units"], zero["by"]) == (5.0, "deg", "ada")
    assert zero["time"]
    assert start_document["calibrations"]["pixel_size"] == {"value": 3.45, "units": "um", "by": "profile"}
    events = [document["data"] for name, document in said if name == "event"]
    assert [e["angle"] for e in events if "angle" in e and "calibration-rotator_zero" not in e] == pytest.approx(
        [-1, 0, 1], abs=1e-2
    )
    assert {e["calibration-rotator_zero"] for e in events if "calibration-rotator_zero" in e} == {5.0}

    with start("./laser_lab_toml.toml", data_dir=lab / "data", operator="bob") as session:
        assert session.rig.calibration.value("rotator_zero") == 5.0
        assert session.rig.calibration.undo("rotator_zero", why="wrong marker") == 0.0
        assert session.rig.calibration.history()[-1].by == "bob"
