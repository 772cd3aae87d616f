"""What runs record: metadata over sessions, unique scan ids, settings, the state of the plans."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rdaq_ophyd.errors import DataDirectoryError, RdaqError
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import Settings, check_directory
from rdaq_ophyd.startup._documents import OffLoop
from rdaq_ophyd.startup._kept import replace_file
from rdaq_ophyd.startup._metadata import Metadata
from rdaq_ophyd.startup._record import file_hash, git_state, load_metadata, scan_ids


def load(tmp_path, **settings):
    profile = tmp_path / "p.py"
    profile.write_text("rig = 1")
    return load_metadata(tmp_path / "md.json", Settings(tmp_path, **settings), Rig("r", {"room": 7}), profile, tmp_path)


def test_metadata_stays_over_sessions(tmp_path):
    md = load(tmp_path, operator="ada", sample="GaAs")
    md["proposal"] = 42
    again = load(tmp_path, operator="bob")
    assert again["proposal"] == 42
    assert again["sample"] == "GaAs"
    assert again["operator"] == "bob"
    assert again["rig"]["name"] == "r"
    assert again["rig"]["room"] == 7
    assert again["rig"]["profile_hash"] == file_hash(tmp_path / "p.py")
    assert "ophyd_async" in again["versions"]


def test_metadata_that_cannot_be_kept_or_read_is_refused(tmp_path):
    md = Metadata(tmp_path / "md.json")
    md["detector"] = {"gain": np.float32(2)}
    with pytest.raises(TypeError):
        md["bad"] = object()
    assert dict(md) == {"detector": {"gain": np.float32(2)}}
    del md["detector"]
    with pytest.raises(KeyError):
        del md["detector"]
    assert len(Metadata(tmp_path / "md.json")) == 0
    (tmp_path / "md.json").write_text("{")
    with pytest.raises(RdaqError, match="not a file of metadata"):
        Metadata(tmp_path / "md.json")
    (tmp_path / "md.json").write_text('{"version": 2}')
    with pytest.raises(RdaqError, match="format 2, this program knows 1"):
        Metadata(tmp_path / "md.json")


def test_two_sessions_set_metadata_beside_each_other(tmp_path):
    one, other = Metadata(tmp_path / "md.json"), Metadata(tmp_path / "md.json")
    one["note"] = "hot"
    other["proposal"] = 42
    assert dict(Metadata(tmp_path / "md.json")) == {"note": "hot", "proposal": 42}


def test_what_the_disk_refuses_is_told_with_file_and_next_step(tmp_path):
    md, give = Metadata(tmp_path / "md.json"), scan_ids(tmp_path)
    md["note"] = "hot"
    for name in ("md.lock", "scan_id"):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).mkdir()
    for write in (lambda: md.update(note="cold"), lambda: give({})):
        with pytest.raises(DataDirectoryError, match=r"cannot write '.*(md.json|scan_id)' .* → free some"):
            write()
    assert md["note"] == Metadata(tmp_path / "md.json")["note"] == "hot"
    with pytest.raises(DataDirectoryError, match="cannot write"):
        scan_ids(tmp_path / "md.json")


def test_a_file_that_cannot_be_replaced_stays_and_leaves_no_other(tmp_path):
    path = tmp_path / "md.json"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(path, b"{}")
    assert [p.name for p in tmp_path.iterdir()] == ["md.json"]
    path.rmdir()
    replace_file(path, b"{}")
    assert path.read_bytes() == b"{}"


def test_a_spoilt_scan_id_is_told(tmp_path):
    (tmp_path / "scan_id").write_text("seven")
    with pytest.raises(RdaqError, match="'seven' is no scan id"):
        scan_ids(tmp_path)({})


def test_scan_ids_are_unique_among_threads_and_processes(tmp_path):
    give = scan_ids(tmp_path)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: [found.append(give({})) for _ in range(25)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(found) == list(range(1, 101))
    code = (
        "import sys, pathlib; from rdaq_ophyd.startup._record import scan_ids; "
        "print(scan_ids(pathlib.Path(sys.argv[1]))({}))"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(out.stdout) == 101


def test_git_state_of_the_plans(tmp_path):
    assert git_state(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "f").write_text("1")
    subprocess.run([*git, "add", "f"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert not state["dirty"]
    (tmp_path / "f").write_text("2")
    assert git_state(tmp_path)["dirty"]


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RDAQ_DATA", str(tmp_path))
    monkeypatch.setenv("RDAQ_OPERATOR", "ada")
    assert Settings().data_dir == tmp_path
    assert Settings().operator == "ada"


def test_directories_that_cannot_be_used_are_refused(tmp_path):
    assert check_directory(tmp_path / "new" / "one") > 0
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="--data DIR"):
        check_directory(tmp_path / "file")
    with pytest.raises(DataDirectoryError, match="MiB free, .* needed"):
        check_directory(tmp_path, needed=2**62)


def test_a_directory_without_permission_is_refused():
    with pytest.raises(DataDirectoryError, match="data directory /proc/rdaq"):
        check_directory(Path("/proc/rdaq"))


def test_slow_and_failing_listeners_run_off_the_loop(caplog):
    names, gate = [], threading.Event()

    def listener(name, doc):
        gate.wait(10)
        names.append((name, threading.current_thread().name))
        if name == "event":
            raise ValueError("bad plot")

    off = OffLoop(listener)
    for name in ("start", "event", "stop"):
        off(name, {})
    assert names == []
    gate.set()
    assert off.flush(20)
    off.close()
    assert [n for n, _ in names] == ["start", "event", "stop"]
    assert {t for _, t in names} == {"documents-off-loop"}
    assert "bad plot" in caplog.text
