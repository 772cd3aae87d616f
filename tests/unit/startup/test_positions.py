"""Named positions: kept over sessions, restored as one move, never half a file."""

import json

import pytest
from bluesky import RunEngine
from ophyd_async.sim import SimMotor

from rdaq_ophyd.errors import RdaqError, UnknownName
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup._positions import Positions


def make_rig():
    rig = Rig("bench")

    @rig.device
    def x() -> SimMotor:
        return SimMotor(instant=True)

    @rig.device
    def y() -> SimMotor:
        return SimMotor(instant=True)

    return rig


def test_save_and_restore_with_a_run_engine(tmp_path, engine: RunEngine, in_loop):
    rig = make_rig()
    rig.build()
    in_loop(rig.connect())
    positions = Positions(tmp_path / "positions.json", rig)
    import bluesky.plan_stubs as bps

    engine(bps.mv(rig["x"], 1.5, rig["y"], -2.0))
    engine(positions.save("focus", ["x", "y"]))
    engine(bps.mv(rig["x"], 0, rig["y"], 0))
    again = Positions(tmp_path / "positions.json", rig)
    assert again["focus"] == {"x": 1.5, "y": -2.0}
    assert "x=1.5" in repr(again)
    engine(again.restore("focus"))
    assert in_loop(rig["x"].locate())["readback"] == 1.5
    assert in_loop(rig["y"].locate())["readback"] == -2.0
    in_loop(rig.disconnect())


def test_unknown_and_removed_names(tmp_path):
    positions = Positions(tmp_path / "positions.json", make_rig())
    assert repr(positions) == "no positions saved"
    positions.put("home", {"x": 0.0})
    with pytest.raises(UnknownName, match="did you mean home"):
        positions["hom"]
    assert list(positions) == ["home"]
    assert len(positions) == 1
    positions.remove("home")
    assert list(positions) == []


def test_files_of_another_format_or_broken_are_refused(tmp_path):
    path = tmp_path / "positions.json"
    path.write_text(json.dumps({"version": 99, "positions": {}}))
    with pytest.raises(RdaqError, match="format 99"):
        Positions(path, make_rig())
    path.write_text("{half")
    with pytest.raises(RdaqError, match="not a file of positions"):
        Positions(path, make_rig())
