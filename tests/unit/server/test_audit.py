"""The audit log: a line before the call is served; a flood of stops is told, and does not fill the disk."""

import hashlib
import json

import pytest
from awaited import until

from rdaq_ophyd.server import _audit
from rdaq_ophyd.server._audit import STOPS, Audit
from rdaq_ophyd.server._guard import AUDITED_BYTES, audited
from rdaq_ophyd.wire import messages


@pytest.fixture
def path(tmp_path):
    return tmp_path / "session" / "audit.log"


@pytest.fixture
def audit(path):
    made = Audit(path)
    yield made
    made.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_has_who_where_and_what(audit, path):
    audit.note("ada", "ipv4:127.0.0.1:4711", "Set", "name: x")
    (line,) = lines(path)
    assert line.pop("at") > 1e9
    assert line == {"who": "ada", "peer": "ipv4:127.0.0.1:4711", "call": "Set", "what": "name: x"}


async def test_a_flood_of_stops_is_counted(path):
    audit = Audit(path)
    for number in range(10_000):
        audit.note_stop("eve", f"page:{number}", "x" * 900)
    audit.note_stop("ada", "ipv4:1", "smoke")
    hers = [line["what"] for line in lines(path) if line["who"] == "ada"]
    assert hers == ["smoke"], "a flood of another hides nobody"
    assert path.stat().st_size < 100_000
    audit.close()
    *_, last = lines(path)
    assert last["who"] == "eve"
    assert last["peer"] == "page:9999"
    assert last["what"] == f"{10_000 - STOPS} more, the last one from there"


async def test_they_are_told_while_it_goes_on(path, monkeypatch):
    monkeypatch.setattr(_audit, "TOGETHER", 0.01)
    audit = Audit(path)
    for _ in range(2 * STOPS):
        audit.note_stop("eve", "page", "again")
    await until(lambda: len(lines(path)) > STOPS)
    assert lines(path)[-1]["what"].startswith(f"{STOPS} more")
    audit.close()
    assert len(lines(path)) == STOPS + 1


def test_of_a_large_request_its_size_and_its_name_are_told():
    value = messages.Value(text="x" * AUDITED_BYTES)
    told = audited(messages.SetRequest(name="x.velocity", value=value))
    assert told == f"{messages.SetRequest(name='x.velocity', value=value).ByteSize()} bytes for 'x.velocity'"
    script = messages.RunScriptRequest(name="s.py", source=b"pass", arguments=["y" * AUDITED_BYTES])
    assert audited(script).startswith(f"sha256: {hashlib.sha256(b'pass').hexdigest()} bytes: 4 ")
    assert len(audited(script)) < 200


def test_it_is_ended_once_whatever_file_has_its_descriptor_then(path, caplog):
    audit = Audit(path)
    audit.close()
    with open(path, "rb") as another:
        audit.close()
        assert another.read() == b""
    audit.note("eve", "page", "Move", "late")
    assert "not written" in caplog.text
    assert lines(path) == []
