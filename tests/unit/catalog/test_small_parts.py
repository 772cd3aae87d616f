"""Lock, small files, key and address, client profile, layout."""

import os
import socket
import subprocess
import sys

import pytest
import tiled.profiles

from rdaq_ophyd.catalog import _lock, data_layout
from rdaq_ophyd.catalog._credentials import api_key, server_address
from rdaq_ophyd.catalog._files import read_json, tail, write_atomic, write_json
from rdaq_ophyd.catalog._lock import ProcessLock, is_held
from rdaq_ophyd.catalog._serve import _listen
from rdaq_ophyd.catalog._server_config import server_config
from rdaq_ophyd.catalog._tiled_profile import write_profile


@pytest.fixture
def layout(tmp_path):
    return data_layout(tmp_path / "data").prepare()


def test_a_lock_has_one_holder(tmp_path):
    one, two = ProcessLock(tmp_path / "lock"), ProcessLock(tmp_path / "lock")
    assert not is_held(one.path)
    assert one.acquire()
    assert one.acquire()
    assert is_held(one.path)
    assert not two.acquire()
    one.release()
    one.release()
    assert two.acquire()
    two.release()
    assert not is_held(one.path)


def test_a_lock_is_free_when_its_holder_is_killed(tmp_path):
    code = (
        "import sys, pathlib; from rdaq_ophyd.catalog._lock import ProcessLock; "
        "print(ProcessLock(pathlib.Path(sys.argv[1])).acquire(), flush=True); sys.stdin.read()"
    )
    # the lock object is kept by nobody there: only its descriptor counts
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"True\n"
        assert is_held(tmp_path / "lock")
        process.kill()
    assert not is_held(tmp_path / "lock")


def test_an_instant_of_probing_does_not_cost_the_role(tmp_path, monkeypatch):
    prober = ProcessLock(tmp_path / "lock")
    assert prober.acquire()
    monkeypatch.setattr(_lock.time, "sleep", lambda seconds: prober.release())
    lock = ProcessLock(tmp_path / "lock")
    assert lock.acquire()
    lock.release()


def test_small_files_are_replaced_whole_and_private(tmp_path):
    path = tmp_path / "state.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("[1]")
    assert read_json(path) is None
    path.write_text("{")
    assert read_json(path) is None
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path, b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomic(tmp_path / "folder", b"")
    assert sorted(os.listdir(tmp_path)) == ["folder", "state.json"]


def test_the_tail_of_a_log(tmp_path):
    assert tail(tmp_path / "none") == ""
    (tmp_path / "log").write_text("".join(f"line {i}\n" for i in range(10_000)))
    assert tail(tmp_path / "log", 2) == "line 9998\nline 9999"


def test_the_key_is_made_once_and_kept_private(layout, caplog):
    key = api_key(layout)
    assert len(key) == 64
    assert int(key, 16)
    assert api_key(layout) == key
    path = layout.catalog / "api_key"
    path.chmod(0o644)
    assert api_key(layout) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert "private" in caplog.text
    assert key not in caplog.text


def test_the_first_of_two_processes_makes_the_key(layout, monkeypatch):
    monkeypatch.setattr("rdaq_ophyd.catalog._credentials.Path.exists", lambda path: False)
    key = api_key(layout)
    assert api_key(layout) == key
    assert [path.name for path in layout.catalog.iterdir()] == ["api_key"]


def test_no_address_before_a_server_wrote_it(layout):
    assert server_address(layout) is None
    write_json(layout.catalog / "server.json", {"uri": "http://127.0.0.1:1/api/v1", "pid": 3})
    assert server_address(layout).pid == 3


def test_the_port_is_kept_where_it_is_free(layout):
    with _listen(layout) as first:
        port = first.getsockname()[1]
        assert first.getsockname()[0] == "127.0.0.1"
    with _listen(layout) as second:
        assert second.getsockname()[1] == port
        second.listen()
        with _listen(layout) as third:
            assert third.getsockname()[1] != port


def test_a_machine_without_a_free_port_is_an_error(layout, monkeypatch):
    class Full(socket.socket):
        def bind(self, address):
            raise OSError("no ports left")

    monkeypatch.setattr("rdaq_ophyd.catalog._serve.socket.socket", Full)
    with pytest.raises(OSError, match="no ports left"):
        _listen(layout)


def test_the_configuration_keeps_the_door_shut(layout):
    config = server_config(layout)
    assert config["authentication"] == {"allow_anonymous_access": False}
    assert config["catalog"]["readable_storage"] == [str(layout.frames)]
    assert config["expose_raw_assets"] is False
    assert "key" not in str(config)


def test_the_layout_is_absolute_and_private_where_the_key_lives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = data_layout("here").prepare()
    assert layout.root == tmp_path / "here"
    assert (layout.frames, layout.spool) == (tmp_path / "here/frames", tmp_path / "here/spool")
    assert layout.catalog.stat().st_mode & 0o777 == 0o700
    assert data_layout("~/x").root.is_absolute()


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    site, user = tmp_path / "site", tmp_path / "user"
    monkeypatch.setattr(tiled.profiles, "paths", [site, user])
    yield site, user
    tiled.profiles.load_profiles.cache_clear()


def test_the_client_profile_is_written_private_and_follows_the_session(layout, profiles):
    path = write_profile(layout, "http://127.0.0.1:1/api/v1", "ab12")
    assert path == profiles[1] / "rdaq.yml"
    assert path.stat().st_mode & 0o777 == 0o600
    write_profile(layout, "http://127.0.0.1:2/api/v1", "ab12")
    _, content = tiled.profiles.load_profiles()["rdaq"]
    assert content["uri"] == "http://127.0.0.1:2/api/v1?api_key=ab12"


@pytest.mark.parametrize("where", [0, 1])
def test_a_foreign_profile_of_that_name_is_left_and_named(layout, profiles, caplog, where):
    profiles[where].mkdir()
    foreign = profiles[where] / "mine.yml"
    foreign.write_text("rdaq:\n  uri: http://elsewhere:8000\n")
    assert write_profile(layout, "http://127.0.0.1:1/api/v1", "ab12") is None
    assert str(foreign) in caplog.text
    assert "elsewhere" in foreign.read_text()
    assert not (profiles[1] / "rdaq.yml").exists()
