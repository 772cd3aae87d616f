"""Scripts over gRPC: their output and their fate, who may run them, what is recorded, and the command line."""

from __future__ import annotations

import hashlib
import json
import textwrap
import threading
from pathlib import Path

import grpc
import pytest
from bluesky import plan_stubs as bps
from optics import no_tiled
from scripted import none_left, of_scripts

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import RunFailed, connect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.errors import EngineBusy, LimitError, NotAllowed, RdaqError, ScriptFailed, StopLatched, TooOften
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.server import Role, Server, Token
from rdaq_ophyd.server._access import Access
from rdaq_ophyd.startup import start

# tests/system/test_scripts.py traces what runs in a script's process.
pytestmark = pytest.mark.usefixtures("untraced")

SCAN = """
from bluesky import plan_stubs as bps, plans as bp
from bluesky.protocols import Movable, Readable

print("loaded")

def plan(x: Movable[float], power_meter: Readable, num: int = 3):
    print("begins")
    yield from bps.mv(x.enabled, True)
    yield from bp.scan([power_meter], x, 0, 0.2, num, md={"plan_name": "mine"})
    return num
"""
ENDLESS = """
from bluesky import plan_stubs as bps
from bluesky.protocols import Movable

def plan(x: Movable[float]):
    while True:
        yield from bps.checkpoint()
        yield from bps.sleep(0.01)
"""


@pytest.fixture(scope="module")
def session(profile_path, data_dir, nothing_left_by_module):
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(profile_path), data_dir=data_dir) as made:
            made.RE(bps.mv(made.rig["x"].velocity, 5.0))
            yield made


@pytest.fixture(scope="module")
def server(session):
    with Server(session, scripts=ScriptLimits(source=10_000, ending=2.0, a_minute=1000)) as made:
        yield made


@pytest.fixture
def client(server):
    with connect(server.address) as made:
        yield made
        none_left()
        assert made.state.engine == "idle"


def whats(events):
    return [What.Name(event.what) for event in events]


def test_a_script_is_told_from_begin_to_end_and_recorded(client, session):
    documents = []
    over = threading.Event()
    end = client.subscribe(lambda name, doc: (documents.append((name, doc)), name == "stop" and over.set()))
    run = client.begin_script(SCAN, "--num", "4", name="mine.py", md={"sample": "razor"})
    events = list(run)
    assert over.wait(20)
    end()
    assert whats(events) == ["OUTPUT", "OUTPUT", "RUN", "ENDED"]
    assert (list(run.output), run.result, run.exit_status) == (["loaded", "begins"], "4", "success")
    start = documents[0][1]
    sha = hashlib.sha256(SCAN.encode()).hexdigest()
    assert start["script"] == {"name": "mine.py", "sha256": sha, "arguments": ["--num", "4"]}
    assert (start["sample"], start["submitted_by"], start["plan_name"]) == ("razor", "local", "mine")
    assert {doc["name"] for name, doc in documents if name == "descriptor"} >= {"primary", "baseline"}
    assert documents[-1][1]["exit_status"] == "success"
    last = json.loads((session.settings.data_dir / "session" / "audit.log").read_text().splitlines()[-1])
    assert (last["who"], last["call"]) == ("local", "RunScript")
    assert f"sha256: {sha} bytes: {len(SCAN)}" in last["what"]
    assert "bps.mv" not in last["what"]


def test_a_script_is_paused_and_ended_as_any_plan(client):
    run = client.begin_script(ENDLESS)
    next(state for state in client.watch() if state.engine == "running")
    with pytest.raises(EngineBusy, match="script.py is running"):
        client.begin_script(SCAN)
    assert client.pause().engine == "paused"
    assert client.state.plan == "script.py"
    assert client.resume().engine == "running"
    assert client.abort("enough").engine == "idle"
    assert whats(run) == ["PAUSED", "RESUMED", "ENDED"]
    assert run.exit_status == "abort"


def test_a_flight_of_a_shipped_script_survives_a_pause(client):
    path = Path(__file__).parents[2] / "plans" / "fly_scan.py"
    run = client.begin_script(path, "--start", "0", "--stop", "4", "--num", "30", "--rate", "30")
    for event in run:
        if event.what == What.RUN:
            break
    client.pause()
    assert client.resume().engine == "running"
    run.wait()
    places = [float(word) for word in run.result.strip("[]").split()]
    assert len(places) == 30
    assert places == sorted(places)


def test_what_is_no_script_is_refused_with_the_same_words_as_there(client, tmp_path):
    with pytest.raises(LimitError, match="unrecognized arguments: --numm 3"):
        client.run_script(SCAN, "--numm", "3")
    with pytest.raises(LimitError, match="20001 bytes → at most 10000"):
        client.run_script("\n" + "#" * 20_000)
    with pytest.raises(RdaqError, match="No such file.* → give a script's path"):
        client.run_script(tmp_path / "none.py")
    with pytest.raises(RunFailed, match="ZeroDivisionError") as failed:
        client.run_script("def plan():\n    yield from ()\n    1 / 0\n")
    assert isinstance(failed.value.__cause__, ScriptFailed)
    assert "script.py:3: 1 / 0" in str(failed.value)


def test_whoever_leaves_while_it_is_loaded_ends_it(client):
    calls = client._calls
    from rdaq_ophyd.wire import messages

    stream = calls.follow("RunScript", messages.RunScriptRequest(name="a.py", source=b"import time\ntime.sleep(60)"))
    while not of_scripts():
        threading.Event().wait(0.01)
    with pytest.raises(EngineBusy, match=r"a\.py is being loaded"):
        client.begin_script(SCAN)
    stream.close()
    none_left()


def test_everything_stopped_means_scripts_too(client):
    client.stop_all("a test")
    try:
        with pytest.raises(StopLatched, match="a test"):
            client.begin_script(SCAN)
    finally:
        client.reset("it was one")


def test_observers_may_not_and_too_often_is_refused(session):
    tokens = [Token("alice", Role.OPERATE, "a" * 40), Token("bob", Role.OBSERVE, "b" * 40)]
    with Server(session, Access(tokens=tokens), scripts=ScriptLimits(a_minute=1)) as server:
        with connect(server.address, token="b" * 40) as bob, pytest.raises(NotAllowed, match="RunScript is to operate"):
            bob.begin_script(SCAN)
        with connect(server.address, token="a" * 40) as alice:
            alice.run_script("def plan():\n    yield from ()\n")
            with pytest.raises(TooOften, match="1 scripts within a minute → wait"):
                alice.run_script(SCAN)


def test_a_message_that_is_no_request_reaches_no_process(server):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_stream("/rdaq.v1.Daq/RunScript")
        for data in (b"\xff", b"", b"\x0a\x03abc"):
            with pytest.raises(grpc.RpcError):
                list(call(data, timeout=20))
    assert not of_scripts()


def test_the_command_line_runs_a_script_there(server, client, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(SCAN))
    assert main(["run", str(path), "--host", server.address, "--num", "2"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[:2] == ["loaded", "begins"]
    assert lines[2].endswith(" success")
    assert lines[3:] == ["2"]
    assert main(["run", str(path), "--host", server.address, "--help"]) == 0
    assert "--num NUM" in capsys.readouterr().out
