"""A process is killed while it records frames; ``rdaq repair`` closes the run, and nothing recorded is gone."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  its import lets HDF5 read compressed frames
import pytest
from event_model import compose_run

from rdaq_ophyd.catalog import Spool, data_layout
from rdaq_ophyd.cli import main
from rdaq_ophyd.doctor import _disk
from rdaq_ophyd.frames import DATA, column_path, sequence_of

KILLABLE = Path(__file__).parents[1] / "lib" / "killable.py"


def recorded(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


@pytest.mark.parametrize("plan", ["fly", "scan", "step", "fly blosc2-lz4"])
def test_a_killed_run_is_closed_and_every_frame_it_tells_of_is_there(tmp_path, capsys, plan):
    layout = data_layout(tmp_path)
    told = 0
    with subprocess.Popen(
        [sys.executable, KILLABLE, tmp_path, *plan.split()], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            while told < 12:
                told = int(child.stdout.readline())
            assert main(["repair", str(tmp_path)]) == 0  # while it lives
            said = capsys.readouterr().out
            assert "is being written, left alone" in said
            assert "is being recorded, left alone" in said
        finally:
            child.kill()
        told = max([told, *map(int, child.stdout.read().split())])
    (run_file,) = layout.spool.glob("*.jsonl")
    (frames,) = layout.frames.glob("*.h5")
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(frames)
    assert any(finding.about == "runs" and "rdaq repair" in finding.hint for finding in _disk(tmp_path))

    before = recorded(run_file)
    assert main(["repair", "--dry-run", str(tmp_path)]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert recorded(run_file) == before

    assert main(["repair", str(tmp_path)]) == 0
    assert "closed: " in capsys.readouterr().out
    documents = recorded(run_file)
    stop = documents[-1][1]
    assert documents[-1][0] == "stop"
    assert stop["exit_status"] == "fail"
    with h5py.File(frames) as file:  # a plain reader
        rows = file[DATA].shape[0]
        assert file["/entry/exit_status"][()] == b"interrupted"
        numbers = file[column_path("sequence_numbers")][:]
        assert [sequence_of(frame) for frame in file[DATA]] == numbers.tolist()
    assert rows >= told
    claims = {d["stream_resource"]: d["indices"]["stop"] for n, d in documents if n == "stream_datum"}
    events = stop["num_events"]["primary"]
    # All keys of the stream have equally many rows, and at most the point in progress is missing.
    assert set(claims.values()) == {events}
    assert told - (plan == "step") <= events <= rows
    assert sum(n == "event" for n, _ in documents) == (events if plan == "step" else 0)

    if plan == "scan":  # where the axis was, all but for the last half second
        pages = [d["data"] for n, d in documents if n == "event_page"]
        places = [place for page in pages if "cam-time" in page for place in page["stage-x"]]
        assert 0 <= events - len(places) < 40
        assert places == sorted(places)
        assert all(all(page["stage-x-measured"]) for page in pages if "cam-time" in page)
        assert any("stage-x-time_uncertainty" in page for page in pages)

    assert main(["repair", str(tmp_path)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert not any(finding.about == "runs" for finding in _disk(tmp_path))

    spool = Spool(layout)  # the next run works
    run = compose_run()
    spool("start", run.start_doc)
    spool("stop", run.compose_stop())
    spool.close()


def test_a_command_that_could_not_repair_all_says_so(tmp_path, capsys):
    layout = data_layout(tmp_path).prepare()
    with h5py.File(layout.frames / "f.h5", "w", libver="latest") as file:
        file["x"] = list(range(1000))
        file.swmr_mode = True
        content = (layout.frames / "f.h5").read_bytes()
    (layout.frames / "f.h5").write_bytes(content[:-100])
    assert main(["repair", str(tmp_path)]) == 1
    assert "f.h5: cut off: 100 bytes are missing at its end" in capsys.readouterr().out
    assert (layout.frames / "f.h5").read_bytes() == content[:-100]


def test_the_data_directory_of_the_environment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RDAQ_DATA", str(tmp_path / "none"))
    assert main(["repair"]) == 1
    assert "no data directory" in capsys.readouterr().err
    assert main(["catalog", "rebuild"]) == 1
