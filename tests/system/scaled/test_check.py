"""``rdaq catalog check`` against a catalog that is fit, and against many that are not: each is really so."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest
from scaled import READER, WRITER, Lab, another, free_port
from sharingrigs import Directory

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.cli import main

pytestmark = [pytest.mark.usefixtures("untraced"), pytest.mark.timeout(300)]


@pytest.fixture
def rig(lab: Lab, keys, tmp_path: Path) -> Directory:
    """A rig whose set-up is right, as yet."""
    return Directory(lab, tmp_path / "rig", tmp_path.name, keys=keys)


@pytest.fixture
def check(rig: Directory, capsys):
    """What the command said, its exit code first, after some changes to ``catalog.toml``."""

    def run(**changes) -> tuple[int, list[str]]:
        rig.configure(**changes)
        code = main(["catalog", "check", str(rig.root)])
        assert list(rig.there.iterdir()) == []  # no file is left
        return code, capsys.readouterr().out.splitlines()

    return run


def wrong(lines: list[str]) -> list[str]:
    return [line.removeprefix("failed").strip() for line in lines if line.startswith("failed")]


def runs(lab: Lab, key: str, folder: str = "") -> set[str]:
    headers = {"Authorization": f"Apikey {key}"}
    answer = httpx.get(f"{lab.tiled.uri}/search/{folder}?page[limit]=300&fields=", headers=headers, timeout=30)
    return {each["id"] for each in answer.json()["data"]} if answer.status_code == 200 else set()


def test_one_that_is_fit(check, lab: Lab, rig: Directory) -> None:
    before, tried_before = runs(lab, rig.writer), runs(lab, rig.writer, "rdaq-check")
    code, lines = check()
    assert code == 0, lines
    tried = [line.split(":")[0].removeprefix("ok").strip() for line in lines[:-1]]
    assert tried == [
        *("the server", "the clock", "the rig's key", "the readers' key"),
        *("write", "subscribe", "read", "frames", "refuse", "delete"),
    ]
    assert runs(lab, rig.writer) - before <= {"rdaq-check"}  # its run is not among the runs
    (uid,) = runs(lab, rig.writer, "rdaq-check") - tried_before
    assert f"refused; the run stays as rdaq-check/{uid} until the administrator deletes it" in lines[-2]
    with rig.catalog() as catalog:
        assert set(catalog.everything) == runs(lab, rig.writer) - {"rdaq-check"}


def test_no_server(check) -> None:
    code, lines = check(uri=f"http://127.0.0.1:{free_port()}/api/v1")
    assert code == 1
    (line,) = wrong(lines)
    assert "does not answer" in line
    assert "is it started" in line


def test_another_server(check, lab: Lab) -> None:
    code, lines = check(uri=lab.tiled.uri.removesuffix("/v1"))
    assert code == 1
    assert "is no Tiled" in wrong(lines)[0]
    assert "has to end in /api/v1" in wrong(lines)[0]


def test_a_key_that_nobody_knows(check, lab: Lab) -> None:
    code, lines = check(key_file=str(lab.key_file("ab" * 32)))
    assert code == 1
    (line,) = wrong(lines)
    assert line.startswith("the rig's key: the server does not know the key")
    assert "not tried" in lines[-2]


def test_a_key_that_others_can_read(check, lab: Lab) -> None:
    path = lab.key_file("cd" * 32)
    os.chmod(path, 0o640)
    code, lines = check(key_file=str(path))
    assert code == 1
    assert "can be read by others (mode 0640) → chmod 600" in wrong(lines)[0]


def test_a_key_that_is_nowhere(check) -> None:
    code, lines = check(key_file="", key_env="RDAQ_NO_SUCH_VARIABLE")
    assert code == 1
    assert "environment variable RDAQ_NO_SUCH_VARIABLE holds no key" in wrong(lines)[0]


def test_a_key_that_may_not_register_files(check, lab: Lab) -> None:
    scopes = tuple(scope for scope in WRITER if scope != "register")
    code, lines = check(key_file=str(lab.key_file(lab.key("rdaq-writer", scopes))))
    assert code == 1
    found = wrong(lines)
    assert found[0].startswith("the rig's key: it lacks the scope register: no file of frames could be told of")
    assert found[1].startswith("write: the run was not taken")
    assert len(found) == 2


def test_a_key_that_may_make_nothing(check, lab: Lab) -> None:
    scopes = tuple(scope for scope in WRITER if scope != "create:node")
    code, lines = check(key_file=str(lab.key_file(lab.key("rdaq-writer", scopes))))
    assert code == 1
    assert "write: the run was not taken" in wrong(lines)[1]
    assert lines[-2] == "ok      delete: refused"  # of no run it says that it stays


def test_a_key_that_may_delete(check, lab: Lab, rig: Directory) -> None:
    before = runs(lab, rig.writer, "rdaq-check")
    code, lines = check(key_file=str(lab.key_file(lab.key("admin", (*WRITER, "delete:node", "delete:revision")))))
    assert code == 1
    scopes, tried = wrong(lines)
    assert scopes.startswith(
        "the rig's key: it may delete, and so the runs of every rig: delete:node, delete:revision → restrict it"
    )
    assert tried.startswith("delete: the rig's key may delete, and so the runs of every rig → give the rig a key")
    assert runs(lab, rig.writer, "rdaq-check") == before


def test_readers_who_may_delete_and_a_rig_that_may_make_keys(check, lab: Lab) -> None:
    reader = lab.key("admin", (*READER[:2], "write:metadata", "delete:node", "delete:revision"))
    writer = lab.key("admin", (*WRITER, "read:principals", "write:principals", "admin:apikeys"))
    code, lines = check(reader_key_file=str(lab.key_file(reader)), key_file=str(lab.key_file(writer)))
    assert code == 1
    text = "\n".join(wrong(lines))
    assert "the readers' key: it lacks the scope create:apikeys: Tiled's own client could not subscribe" in text
    assert "the readers' key: readers may delete: delete:node, delete:revision, write:metadata" in text
    assert "the rig's key: it may do more than a rig needs: admin:apikeys" in text
    assert "refuse: the readers' key may delete" in text
    assert "refuse: the readers' key may write" in text
    assert "refuse: the rig's key may list the people and services of this server" in text


@pytest.mark.parametrize("there", ["/nowhere", ""])
def test_paths_that_lead_nowhere(check, rig: Directory, there: str) -> None:
    """One that the server has not, and one that it has and may not serve: the rig's own name of the folder."""
    code, lines = check(paths={str(rig.frames): there} if there else {})
    assert code == 1
    (line,) = wrong(lines)
    assert line.startswith(f"frames: the server cannot read them as '{there or rig.frames}/rdaq-check-")
    assert "correct [paths]" in line
    assert "readable_storage" in line


def test_paths_for_other_folders(check) -> None:
    code, lines = check(paths={"/data/lab9/frames": "/srv/frames/lab9"})
    assert code == 1
    assert "[paths] names /data/lab9/frames, none of which holds" in wrong(lines)[0]


def test_a_folder_of_the_server_with_other_files(rig: Directory, lab: Lab, capsys, monkeypatch) -> None:
    other = lab.frames / f"{rig.name}-other"
    other.mkdir()
    rig.configure(paths={str(rig.frames): str(other)})
    real = np.zeros((4, 3, 4), "<u2")

    def write_both(probe) -> None:
        for path, frames in ((probe.path, probe.values), (other / probe.path.name, real)):
            with h5py.File(path, "w", libver="latest") as file:
                file.create_dataset("/entry/data/data", data=frames, maxshape=(None, 3, 4), chunks=(1, 3, 4))

    monkeypatch.setattr("rdaq_ophyd.catalog._probe_run.ProbeRun.write_file", write_both)
    assert main(["catalog", "check", str(rig.root)]) == 1
    (line,) = wrong(capsys.readouterr().out.splitlines())
    assert "is another file" in line


def test_a_server_that_is_configured_carelessly(check, lab: Lab, tmp_path: Path) -> None:
    """No cache for subscribers, open to everybody, files handed out, frames elsewhere, and an hour behind."""

    def change(config) -> None:
        del config["streaming_cache"]
        config["authentication"]["allow_anonymous_access"] = True
        config["expose_raw_assets"] = True
        config["catalog"]["readable_storage"] = ["/var/empty"]

    late = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    with another(lab, tmp_path / "server", change, options=["--no-date-header", "--header", f"date:{late}"]) as server:
        code, lines = check(uri=server.uri)
    assert code == 1
    found = dict(line.split(": ", 1) for line in wrong(lines) if not line.startswith("refuse"))
    assert "behind this machine's" in found["the clock"]
    assert "configure a streaming_cache" in found["subscribe"]
    assert "below one of readable_storage" in found["frames"]
    refusals = [line for line in wrong(lines) if line.startswith("refuse")]
    assert len(refusals) == 2
    assert "without a key the run can be read → authentication.allow_anonymous_access: false" in refusals[0]
    assert "raw files can be downloaded → expose_raw_assets: false" in refusals[1]


def test_processes_that_share_no_cache(check, lab: Lab, tmp_path: Path) -> None:
    def change(config) -> None:
        config["streaming_cache"] = {"uri": "memory"}

    with another(lab, tmp_path / "server", change, workers=2) as server:
        code, lines = check(uri=server.uri)
    assert code == 1, lines
    assert len(wrong(lines)) == 1, lines
    (line,) = wrong(lines)
    assert "of 8 subscribers were told" in line or "no subscriber was told" in line
    assert "streaming_cache" in line


def test_a_server_with_one_key_for_everybody(check, tmp_path: Path, lab: Lab) -> None:
    with EmbeddedCatalog(tmp_path / "embedded", profile=None) as catalog:
        key = lab.key_file(str(catalog.api_key))
        code, lines = check(uri=catalog.ready(), key_file=str(key), reader_key_file=str(key))
    assert code == 1
    assert "one key for everybody" in wrong(lines)[0]


def test_a_data_directory_with_a_catalog_of_its_own(tmp_path: Path, capsys) -> None:
    assert main(["catalog", "check", str(tmp_path)]) == 1
    assert "has a catalog of its own" in capsys.readouterr().err
