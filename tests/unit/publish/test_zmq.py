"""Documents to bluesky's own 0MQ proxy and dispatcher, by real sockets: absent, slow, gone and back."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import zmq.auth
from bluesky import RunEngine
from bluesky import plans as bp
from nginx import free_ports
from ophyd_async.sim import SimMotor
from proxied import Listener, Stuck, proxy, wait_for

from rdaq_ophyd.errors import PublishError
from rdaq_ophyd.publish import _zmq as zmq_wire
from rdaq_ophyd.publish import json_bytes, publish, target_of

START = {"uid": "a", "time": 1.0}


@pytest.fixture
def ports():
    return free_ports(2)


def published_to(port, more=""):
    return publish(target_of(f"zmq://127.0.0.1:{port}{more}"))


def hear_something(publishing, listener):
    """A dispatcher gets nothing from before it was there, and cannot be asked whether it is."""

    def heard():
        publishing("start", START)
        return listener.documents

    wait_for(heard)
    last = len(listener.documents)
    wait_for(lambda: len(listener.documents) == publishing.counts.published or len(listener.documents) > last)


def test_a_scan_comes_out_at_bluesky_s_own_dispatcher(ports, engine: RunEngine):
    inside, outside = ports
    made = published_to(inside, "?prefix=lab")
    with proxy(inside, outside), Listener(outside, prefix=b"lab") as lab, Listener(outside, prefix=b"other") as other:
        hear_something(made, lab)
        before, mine = len(lab.documents), []
        tokens = [engine.subscribe(made), engine.subscribe(lambda name, doc: mine.append((name, doc)))]
        motor = SimMotor(name="stage", instant=True)
        engine(bp.scan([motor], motor, 0, 1, 3))
        for token in tokens:
            engine.unsubscribe(token)
        wait_for(lambda: lab.names()[-1] == "stop")
        assert [doc["uid"] for _, doc in lab.documents[-len(mine) :]] == [doc["uid"] for _, doc in mine]
        assert lab.documents[-1][1] == mine[-1][1]
        assert len(lab.documents) >= before + len(mine)
        assert other.documents == []
        made.close()


def test_json_is_read_without_pickle(ports):
    inside, outside = ports
    made = published_to(inside, "?serializer=json")
    with proxy(inside, outside), Listener(outside, deserializer=json.loads) as heard:
        hear_something(made, heard)
        made("event", {"data": {"cam": np.arange(3), "x": np.float64(1.5), "bad": float("nan")}})
        wait_for(lambda: heard.names()[-1] == "event")
        data = heard.documents[-1][1]["data"]
        assert (data["cam"], data["x"]) == ([0, 1, 2], 1.5)
        assert data["bad"] != data["bad"]
        made.close()


def test_json_refuses_what_it_has_no_word_for():
    with pytest.raises(TypeError):
        json_bytes({"data": {"x": object()}})


def test_without_a_proxy_documents_are_counted_and_the_end_is_quick(ports, monkeypatch, caplog):
    made = published_to(ports[0])
    for _ in range(5):
        made("event", {})
    made.close()
    assert (made.counts.published, made.counts.missed) == (0, 5)
    assert "5 documents were left out" in caplog.text


def test_a_proxy_that_dies_and_comes_back_leaves_a_gap_that_is_counted(ports, caplog):
    inside, outside = ports
    made = published_to(inside)
    with proxy(inside, outside), Listener(outside) as heard:
        hear_something(made, heard)
    before = made.counts.missed

    def left_out():
        made("event", {"seq_num": 1})
        return made.counts.missed > before

    wait_for(left_out)
    wait_for(lambda: "does not take documents" in caplog.text)
    with proxy(inside, outside), Listener(outside) as heard:
        hear_something(made, heard)
        wait_for(lambda: "documents were left out; they are in the catalog" in caplog.text)
        made.close()


def test_a_proxy_that_takes_nothing_holds_nobody_back_and_nothing_is_lost_in_silence(ports, monkeypatch):
    monkeypatch.setattr(zmq_wire, "MOST_ON_THE_WAY", 2)
    monkeypatch.setattr(zmq_wire, "SENDS", 50)
    number, large = 200, {"data": {"text": "x" * 100_000}}
    with Stuck(ports[0]) as stuck:
        made = published_to(ports[0])
        made("event", large)
        stuck.listen()
        for _ in range(number - 1):
            made("event", large)
        wait_for(lambda: sum(vars(made.counts).values()) == number)
        assert 0 < made.counts.published < number
        assert stuck.drain() == made.counts.published
        made.close()


def test_a_proxy_that_hangs_counts_as_gone(ports, monkeypatch):
    monkeypatch.setattr(zmq_wire, "BEATS", (100, 300))
    inside, outside = ports
    made = published_to(inside)
    with proxy(inside, outside) as process, Listener(outside) as heard:
        hear_something(made, heard)
        process.send_signal(signal.SIGSTOP)
        missed = made.counts.missed

        def left_out():
            made("event", {})
            return made.counts.missed > missed

        wait_for(left_out)
        process.send_signal(signal.SIGCONT)
        made.close()


@pytest.fixture
def keys(tmp_path):
    """Of the proxy, of the rig, and of those who listen."""
    for name in ("proxy", "rig", "listener"):
        zmq.auth.create_certificates(tmp_path, name)
    known = tmp_path / "known"
    known.mkdir()
    for name in ("rig", "listener"):
        (known / f"{name}.key").write_text((tmp_path / f"{name}.key").read_text())
    return tmp_path


def test_with_keys_only_who_is_known_publishes(ports, keys):
    inside, outside = ports
    words = ["--in-curve-secret", str(keys / "proxy.key_secret"), "--in-curve-client-keys", str(keys / "known")]
    zmq.auth.create_certificates(keys, "stranger")
    by = {
        name: f"?secret_key={keys / name}.key_secret&server_key={keys / 'proxy.key'}&prefix={name}"
        for name in ("rig", "stranger")
    }
    with proxy(inside, outside, *words), Listener(outside) as heard:
        stranger, rig = (published_to(inside, by[name]) for name in ("stranger", "rig"))
        plain = published_to(inside)
        hear_something(rig, heard)
        for one in (stranger, plain):
            one("start", START)
            wait_for(lambda one=one: one.counts.missed == 1)
            assert one.counts.published == 0
            one.close()
        rig.close()


def test_a_key_that_is_none_is_refused_before_a_session_begins(keys):
    server = f"server_key={keys / 'proxy.key'}"
    with pytest.raises(PublishError, match="holds no secret key → is it .*rig.key_secret"):
        published_to(1, f"?secret_key={keys / 'rig.key'}&{server}")
    (keys / "empty").write_text("")
    with pytest.raises(PublishError, match="rdaq documents keys DIR"):
        published_to(1, f"?secret_key={keys / 'empty'}&{server}")


def test_a_socket_file_of_a_folder_of_ones_own(tmp_path):
    with Listening(tmp_path / "in") as there:
        made = publish(target_of(f"zmq+ipc://{tmp_path / 'in'}"))
        made("start", START)
        assert there.poll(20_000)
        assert there.recv().split(b" ", 2)[1] == b"start"
        made.close()


class Listening:
    """A bare SUB socket in place of the proxy."""

    def __init__(self, path):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.bind(f"ipc://{path}")

    def __enter__(self):
        return self._socket

    def __exit__(self, *_):
        self._socket.close(0)
        self._context.term()


def test_a_port_on_which_nobody_listens_is_an_absent_proxy():
    made = publish(target_of("zmq://localhost:9"))
    made("start", START)
    made.close()
    assert made.counts.missed == 1
