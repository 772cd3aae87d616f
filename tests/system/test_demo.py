"""`rdaq demo --json`: the whole path in one command; its last line is what it says it is."""

import json
import os
import subprocess
from pathlib import Path

import h5py
import pytest
from untraced import RDAQ


@pytest.mark.timeout(240)
def test_the_demo_does_the_whole_path(tmp_path):
    env = {k: v for k, v in os.environ.items() if k != "TILED_PROFILES"}
    command = [*RDAQ, "demo", "--json", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert [r["exit_status"] for r in result["runs"]] == ["success", "success", "abort"]
    assert [r["frames"] for r in result["runs"]] == [0, 50, 0]
    assert result["runs"][1]["events"] == 50
    assert all(r["databroker"] for r in result["runs"])
    assert result["frames_read_back"] == 50
    assert result["stopped_axis"]["stopped"]
    assert result["tiled_uri"].startswith("http://127.0.0.1:")
    assert Path(result["plot"]).read_bytes().startswith(b"\x89PNG")
    (path,) = result["hdf5_files"]
    with h5py.File(path, swmr=True) as file:
        assert file["/entry/data/data"].shape[0] == 50
