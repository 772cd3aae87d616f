"""The Redis of a queue: which one, and what the embedded one keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.errors import QueueError
from rdaq_ophyd.queue import _redis
from rdaq_ophyd.queue._embedded_redis import EmbeddedRedis
from rdaq_ophyd.queue._redis import redis_at


def client(address):
    return redis.from_url(f"redis://{address}", decode_responses=True)


def test_what_queueserver_does_with_it_survives(tmp_path):
    path = tmp_path / "queue.json"
    with EmbeddedRedis(path) as one, client(one.address) as asked:
        assert asked.ping()
        asked.set("mode", json.dumps({"loop": False}))
        for n in range(4):
            asked.rpush("queue", f"item {n}\r\nwith lines")
        asked.linsert("queue", "BEFORE", "item 1\r\nwith lines", "between")
        assert asked.lrem("queue", 0, "item 3\r\nwith lines") == 1
        assert asked.lpop("queue") == "item 0\r\nwith lines"
        asked.rpush("history", "a", "b", "c")
        asked.ltrim("history", 1, -1)
        asked.set("gone", "x")
        asked.delete("gone")
    assert os.stat(path).st_mode & 0o077 == 0
    with EmbeddedRedis(path) as two, client(two.address) as asked:
        assert asked.lrange("queue", 0, -1) == ["between", "item 1\r\nwith lines", "item 2\r\nwith lines"]
        assert asked.lrange("history", 0, -1) == ["b", "c"]
        assert sorted(asked.keys()) == ["history", "mode", "queue"]
        assert json.loads(asked.get("mode")) == {"loop": False}
    two.close()  # once more does nothing


@settings(max_examples=5)
@given(st.dictionaries(st.text("abc_", min_size=1), st.one_of(st.text(), st.lists(st.text(), min_size=1)), max_size=4))
def test_any_text_survives(tmp_path_factory, kept):
    path = tmp_path_factory.mktemp("redis") / "queue.json"
    with EmbeddedRedis(path) as one, client(one.address) as asked:
        for key, value in kept.items():
            asked.set(key, value) if isinstance(value, str) else asked.rpush(key, *value)
    with EmbeddedRedis(path) as two, client(two.address) as asked:
        for key, value in kept.items():
            assert (asked.get(key) if isinstance(value, str) else asked.lrange(key, 0, -1)) == value


def test_a_killed_process_loses_half_a_second_at_most(tmp_path):
    path = tmp_path / "queue.json"
    program = (
        "import sys, pathlib\nfrom rdaq_ophyd.queue._embedded_redis import EmbeddedRedis\n"
        "print(EmbeddedRedis(pathlib.Path(sys.argv[1])).address, flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        with client(process.stdout.readline().strip()) as asked:
            asked.rpush("queue", "kept")
        end = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < end
        process.send_signal(signal.SIGKILL)
    with EmbeddedRedis(path) as again, client(again.address) as asked:
        assert asked.lrange("queue", 0, -1) == ["kept"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not the file of a queue"), ("[]", "format None"), ('{"version": 2, "keys": {}}', "format 2")],
)
def test_a_file_that_is_none_is_refused_and_stays(tmp_path, content, said):
    path = tmp_path / "queue.json"
    path.write_text(content)
    with pytest.raises(QueueError, match=said):
        EmbeddedRedis(path)
    assert path.read_text() == content


def test_a_disk_that_refuses_is_told_and_the_queue_goes_on(tmp_path, caplog, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    with EmbeddedRedis(folder / "queue.json") as one, client(one.address) as asked:
        folder.rmdir()
        asked.set("key", "value")
        one._save()
        assert asked.get("key") == "value"
        folder.mkdir()
    assert "the queue was not saved" in caplog.text
    assert json.loads((folder / "queue.json").read_text())["keys"] == {"key": "value"}


def test_the_one_that_is_named_has_to_answer(tmp_path, monkeypatch):
    with (
        pytest.raises(QueueError, match=r"no Redis answers at 127.0.0.1:1: .*--redis embedded"),
        redis_at("user:secret@127.0.0.1:1", tmp_path),
    ):
        pass
    monkeypatch.setenv("RDAQ_REDIS", "redis://127.0.0.1:1")
    with pytest.raises(QueueError, match=r"127.0.0.1:1"), redis_at(None, tmp_path):
        pass


def test_the_one_of_this_machine_is_taken_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.delenv("RDAQ_REDIS", raising=False)
    with EmbeddedRedis(tmp_path / "other.json") as other:
        monkeypatch.setattr(_redis, "LOCAL", other.address)
        with redis_at(None, tmp_path) as (address, where):
            assert (address, where) == (other.address, f"Redis at {other.address}")
    with redis_at(None, tmp_path) as (address, where):
        assert address != other.address
        assert where == f"embedded, kept in {tmp_path / 'queue.json'}"
