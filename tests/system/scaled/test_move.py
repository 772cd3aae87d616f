"""``rdaq catalog move``: refused, interrupted, resumed; in the end every run is in the shared catalog, the same."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import event_model
import h5py
import pytest
from full import only_in_full
from scaled import Lab, until
from sharingrigs import Directory, check_run, frame, record

from rdaq_ophyd.catalog import EmbeddedCatalog, Spool
from rdaq_ophyd.catalog._compare import Reader, differences, table_digest
from rdaq_ophyd.catalog._lock import is_held
from rdaq_ophyd.cli import main

pytestmark = [only_in_full, pytest.mark.usefixtures("untraced"), pytest.mark.timeout(900)]

COMMAND = [sys.executable, "-c", "import sys; from rdaq_ophyd.cli import main; sys.exit(main())", "catalog", "move"]


def plain(catalog: EmbeddedCatalog, **data) -> str:
    """A run of one event without files."""
    run = event_model.compose_run(metadata={"rig": {"name": catalog.rig}})
    catalog.spool("start", run.start_doc)
    kinds = {bool: ("boolean", "|b1"), str: ("string", "<U8"), float: ("number", "<f8")}
    keys = {
        name: {"source": "SIM", "dtype": kinds[type(value)][0], "dtype_numpy": kinds[type(value)][1], "shape": []}
        for name, value in data.items()
    }
    stream = run.compose_descriptor(name="primary", data_keys=keys, object_keys={name: [name] for name in keys})
    catalog.spool("descriptor", stream.descriptor_doc)
    catalog.spool("event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), filled={}))
    catalog.spool("stop", run.compose_stop())
    return str(run.start_doc["uid"])


def tampered(rig: Directory, uid: str) -> dict[str, str]:
    """Paths by which the server would read other frames of one run: a copy with one value changed."""
    folder = rig.lab.frames / f"{rig.name}-copies"
    folder.mkdir()
    with h5py.File(folder / f"{uid}.h5", "w", libver="latest") as file:
        frames = [frame(1, point) for point in range(6)]
        frames[3] = frames[3] + 1
        file.create_dataset("/entry/data/data", data=frames, maxshape=(None, 3, 4), chunks=(1, 3, 4))
    return {str(rig.frames): str(rig.there), f"{rig.frames}/{uid}.h5": f"{folder}/{uid}.h5"}


def test_everything_is_moved_whatever_comes_between(lab: Lab, keys, tmp_path: Path, capfd) -> None:
    name = f"moving-{secrets.token_hex(4)}"
    rig = Directory(lab, tmp_path / "rig", name, keys=keys)
    config = tmp_path / "catalog.toml"
    (rig.root / "catalog.toml").rename(config)

    def said(*options: str) -> tuple[int, str]:
        code = main(["catalog", "move", str(rig.root), "--config", str(config), *options])
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    with EmbeddedCatalog(rig.root, profile=None, rig=name) as catalog:
        uids = [record(catalog, number) for number in (1, 2)]
        uids.append(plain(catalog, flag=True, word="abc", value=float("nan")))
        uids.append(lost := plain(catalog, value=1.5))
        assert catalog.wait_drained(timeout=120), catalog.last_error()
        catalog.client[uids[1]].update_metadata({"note": "the good one"})
        code, text = said()
        assert code == 1
        assert "a session works in the data directory" in text
    assert not (rig.root / "catalog.toml").exists()
    (catalog.layout.delivered / f"{lost}.jsonl").unlink()  # its record is gone: the old catalog alone tells of it

    spool = Spool(catalog.layout)  # a session whose end left no time for the delivery
    uids.append(pending := record(SimpleNamespace(spool=spool, layout=catalog.layout, rig=name), 5))
    spool.close()

    # Something is not as it should be: nothing is changed over.
    good = config.read_text()
    config.write_text(good.replace(f'"{rig.there}"', '"/nowhere"'))
    code, text = said()
    assert code == 1
    assert "the shared catalog is not fit: frames: the server cannot read them" in text
    paths = tampered(rig, uids[0])
    config.write_text(
        good.partition("[paths]")[0] + "[paths]\n" + "".join(f'"{a}" = "{b}"\n' for a, b in paths.items())
    )
    code, text = said("--every-frame")
    assert code == 1
    assert f"run {uids[0]}: is not the same in both: {uids[0]}/primary/cam: values differ" in text
    assert "until then the rig keeps its own catalog" in text
    assert not (rig.root / "catalog.toml").exists()
    assert (rig.root / "catalog" / "catalog.db").exists()

    # The files of an array are never changed for others; the administrator deletes what was registered wrongly.
    config.write_text(good)
    (rig.root / "catalog" / "move.json").unlink()
    code, text = said()
    assert code == 1
    assert f"run {uids[0]}: could not be moved: the catalog reads {uids[0]}/primary/cam from file://" in text
    assert "When the catalog's administrator has deleted the run, it is written whole" in text
    whole = {"recursive": "true", "external_only": "false"}
    lab.ask("DELETE", f"/metadata/{uids[0]}", lab.admin(), params=whole)

    # Killed after the next run; what was moved is not moved again.
    (rig.root / "catalog" / "move.json").unlink()
    with subprocess.Popen(
        [*COMMAND, str(rig.root), "--config", str(config)], stdout=subprocess.PIPE, text=True
    ) as child:
        while "moved, the same" not in child.stdout.readline():
            assert child.poll() is None
        child.kill()
    until(lambda: not is_held(rig.root / "catalog" / "server.lock"), what="the end of the killed one's server")
    code, text = said()
    assert code == 0, text
    assert f"run {uids[0]}: moved" not in text
    assert all(f"run {uid}: moved, the same in both" in text for uid in uids[2:4])
    assert "4 of 4 runs are there" in text
    assert f"run {pending}: waited in the spool, is in the shared catalog" in text
    assert "the old catalog; delete it when you are sure" in text

    # The same session, the same commands: the runs are there, and new ones go there.
    with rig.catalog() as catalog:
        uids.append(record(catalog, 9))
        assert catalog.wait_drained(timeout=120), catalog.last_error()
        assert sorted(catalog.c) == sorted(uids)
        check_run(catalog.c, uids[0])
        check_run(catalog.c, pending)
        check_run(catalog.c, uids[-1])
        assert catalog.c[uids[1]].metadata["note"] == "the good one"
    code, text = said()
    assert code == 0, text  # once more: nothing is left to move
    assert "moved, the same" not in text


def test_a_table_is_the_same_whatever_keeps_it() -> None:
    one = {"a": [1, 2], "b": [True, False], "c": ["x", None]}
    assert table_digest(one) == table_digest({"c": [None, "x"], "b": [0, 1], "a": [2, 1]})
    assert table_digest(one) != table_digest({**one, "a": [1, 3]})
    assert table_digest(one) != table_digest({"a": [1, 2], "b": [True, False], "d": ["x", None]})


def test_a_run_that_one_of_them_has_not(lab: Lab, keys) -> None:
    reader = Reader(lab.tiled.uri, keys[1])
    assert differences(reader, reader, "no-such-run", every_frame=False) == ["it is not in the old catalog"]
    reader.close()
