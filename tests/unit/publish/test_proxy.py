"""`rdaq documents`: a proxy of our own set-up, with keys on both sides, as a process."""

from __future__ import annotations

import contextlib
import signal
import stat
import subprocess

import pytest
from bluesky.callbacks.zmq import ClientCurve
from nginx import free_ports
from proxied import Listener, wait_for
from untraced import RDAQ

from rdaq_ophyd.cli import main
from rdaq_ophyd.errors import NotAllowed, PublishError
from rdaq_ophyd.publish import _zmq as zmq_wire
from rdaq_ophyd.publish import publish, target_of
from rdaq_ophyd.publish._keys import KeyFolder
from rdaq_ophyd.publish._proxy import DocumentProxy

START = {"uid": "a", "time": 1.0}


@pytest.fixture
def ports():
    return free_ports(2)


@pytest.fixture
def keys(tmp_path, capsys):
    assert main(["documents", "keys", str(tmp_path / "keys"), "rig", "ada"]) == 0
    made = capsys.readouterr().out.split()
    assert [path.rpartition("/")[2] for path in made] == ["proxy.key_secret", "rig.key_secret", "ada.key_secret"]
    return KeyFolder(tmp_path / "keys")


@contextlib.contextmanager
def running(ports, *words):
    inside, outside = ports
    command = [*RDAQ, "documents", "proxy", "--in-port", str(inside), "--out-port", str(outside), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = [process.stdout.readline().strip() for _ in range(2)]
            assert said == [f"publish to tcp://127.0.0.1:{inside}", f"listen at tcp://127.0.0.1:{outside}"]
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def curve(keys, name):
    return ClientCurve(keys.secret(name), keys.path / "proxy.key")


def published(ports, keys, name):
    text = f"zmq://127.0.0.1:{ports[0]}?secret_key={keys.secret(name)}&server_key={keys.path / 'proxy.key'}"
    return publish(target_of(text))


def comes_through(publishing, listener):
    before = len(listener.documents)

    def heard():
        publishing("start", START)
        return len(listener.documents) > before

    wait_for(heard)


def test_documents_go_through_and_sigterm_ends_it_in_order(ports):
    with running(ports) as process:
        rig = publish(target_of(f"zmq://127.0.0.1:{ports[0]}"))
        with Listener(ports[1]) as listener:
            comes_through(rig, listener)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        rig.close()


def test_with_keys_on_both_sides_strangers_neither_publish_nor_listen(ports, keys, monkeypatch):
    monkeypatch.setattr(zmq_wire, "ANEW", 0.5)
    keys.make(["stranger"])
    (keys.known / "stranger.key").unlink()
    with running(ports, "--keys", str(keys.path)) as process:
        rig, stranger = (published(ports, keys, name) for name in ("rig", "stranger"))
        with (
            Listener(ports[1], curve_config=curve(keys, "ada")) as ada,
            Listener(ports[1], curve_config=curve(keys, "stranger")) as eve,
            Listener(ports[1]) as plain,
        ):
            comes_through(rig, ada)
            stranger("start", START)
            wait_for(lambda: stranger.counts.missed == 1)
            assert stranger.counts.published == 0
            assert eve.documents == plain.documents == []
            (keys.known / "stranger.key").write_bytes((keys.path / "stranger.key").read_bytes())  # while it runs
            comes_through(stranger, ada)
        with Listener(ports[1], curve_config=curve(keys, "stranger")) as let_in:
            comes_through(rig, let_in)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        for one in (rig, stranger):
            one.close()


def test_secret_keys_are_for_their_owner_and_are_made_once(keys):
    for name in ("proxy", "rig", "ada"):
        assert stat.S_IMODE(keys.secret(name).stat().st_mode) == 0o600
    before = keys.secret("rig").read_bytes()
    assert [path.stem for path in keys.make(["rig", "bob"])] == ["bob"]
    assert keys.secret("rig").read_bytes() == before
    assert keys.names() == ["ada", "bob", "rig"]


@pytest.mark.parametrize("name", ["../rig", "", "a b", ".hidden"])
def test_a_name_is_the_name_of_a_file(keys, name):
    with pytest.raises(PublishError, match="cannot be the name of a file"):
        keys.make([name])


def test_another_address_needs_keys(ports):
    with pytest.raises(NotAllowed, match="0.0.0.0 can be reached from other machines"):
        DocumentProxy("0.0.0.0", *ports)


def test_a_port_that_is_taken_is_told(ports, keys, capsys):
    with running(ports):
        for more in ([], ["--keys", str(keys.path)]):
            words = ["documents", "proxy", "--in-port", str(ports[0]), "--out-port", str(ports[1])]
            assert main([*words, *more]) == 2
            assert "are they taken?" in capsys.readouterr().err


def test_a_folder_without_keys_is_told(tmp_path, capsys):
    assert main(["documents", "proxy", "--keys", str(tmp_path)]) == 2
    assert "rdaq documents keys" in capsys.readouterr().err
