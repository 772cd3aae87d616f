"""A daemon that is killed in mid-plan: its rig is made safe, and the next one finds everything as it was left."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from benchmarks._profile import simulated
from benchmarks._served import Served

from rdaq_ophyd.client import connect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.errors import ServerGone, StopLatched
from rdaq_ophyd.sim import start_bench

# Other modules trace a daemon.
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def daemon(tmp_path):
    with start_bench(fast=True, lift_baud=True, log_dir=tmp_path) as bench:
        text = simulated("killed", bench.ports, delivered=False)
        with Served(text, tmp_path) as made:
            made.bench = bench
            yield made


def until(condition, seconds=40):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def stop_document(daemon, uid):
    """The last line of a run's file, which waits for Tiled, or is delivered."""
    found = [path for path in (daemon.data / "spool").rglob(f"{uid}.jsonl") if path.parent.name != "interrupted"]
    if not found:
        return None  # moved in this very moment
    name, document = json.loads(found[0].read_text().splitlines()[-1])
    assert name == "stop"
    return document


def scan(client, num):
    return client.begin("knife_edge_scan", stage="x", power_meter="power_meter", start=0, stop=2.4, num=num)


def test_killed_in_the_middle_of_a_plan_it_goes_on_where_it_was(daemon):
    with connect(daemon.address) as client:
        client.devices.x.enabled.set(True)
        documents = client.documents()
        run = scan(client, 2000)
        assert any(event.what == What.RUN for event in run)
        assert sum(1 for (name, _), _ in zip(documents, range(12), strict=False) if name == "event") > 3
        told = time.monotonic_ns()
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(10)
        with pytest.raises(ServerGone):
            run.wait()
        with pytest.raises(ServerGone):
            client.devices.x.move(1.0)
    # The watchdog stops the axes, finds out whether they stand, and lets go of the ports.
    until(lambda: any(at > told for at in daemon.bench.arrivals("esp300", b"ST\r")))
    until(
        lambda: (
            not list((daemon.folder / "run").glob("*.json")) or not any(map(alive, daemon.folder.glob("run/*.json")))
        )
    )
    daemon.start()
    with connect(daemon.address) as client:
        state = client.state
        assert state.stopped
        assert "its session died" in state.why
        assert {("x", "confirmed"), ("y", "confirmed")} <= {(v.device, v.outcome) for v in state.verdicts}
        assert daemon.metric("rdaq_stop_tripped") == 1
        with pytest.raises(StopLatched, match="its session died"):
            scan(client, 11)
        client.reset("nothing moves")
        done = scan(client, 11).wait()
        assert done.exit_status == "success"
        assert client.state.scan_id == 0
        killed = until(lambda: stop_document(daemon, run.uids[0]))
        assert killed["exit_status"] == "fail"
        assert "ended without a stop document" in killed["reason"]
        assert killed["num_events"]["primary"] > 3
        assert not list((daemon.data / "spool" / "interrupted").glob("*.jsonl"))
    daemon.kill()


def alive(runfile):
    try:
        os.kill(int(runfile.stem), 0)
    except ProcessLookupError:
        return False
    return True
