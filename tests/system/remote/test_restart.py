"""A server that is killed in the middle of a plan and started anew: clients come back, and say what is gone."""

from __future__ import annotations

import subprocess

import pytest
from benchmarks._profile import simulated
from cutproxy import CutProxy
from untraced import RDAQ

from rdaq_ophyd.client import connect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.errors import UnknownName
from rdaq_ophyd.sim import start_bench

EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 20, "num": 2000}


@pytest.fixture
def profile(tmp_path):
    """A profile with instruments of its own."""
    with start_bench(fast=True, lift_baud=True, log_dir=tmp_path) as own:
        path = tmp_path / "restarted.py"
        path.write_text(simulated("restarted", own.ports, delivered=False))
        yield path


class Daemon:
    """``rdaq serve`` as a process of its own."""

    def __init__(self, profile) -> None:
        self._profile = profile
        self._log = (profile.parent / "log").open("a")
        self._process = None

    def start(self) -> str:
        words = ["serve", str(self._profile), "--port", "0", "--data", str(self._profile.parent / "data")]
        self._process = subprocess.Popen([*RDAQ, *words], stdout=subprocess.PIPE, stderr=self._log, text=True)
        address = self._process.stdout.readline().strip()
        assert address.startswith("127.0.0.1:"), (self._profile.parent / "log").read_text()[-3000:]
        return address

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)
        self._process.stdout.close()

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        self._log.close()


@pytest.fixture
def daemon(profile):
    made = Daemon(profile)
    yield made
    made.close()


def test_clients_come_back_to_a_server_that_was_killed(daemon, profile, until):
    with CutProxy(daemon.start()) as proxy, connect(proxy.address, patience=60) as client:
        x = client.devices.x
        first = client.state.instance
        assert "cam" in [device.name for device in client.devices]
        x.enabled.set(True)
        gaps, documents, told = [], [], []
        watched = client.watch(on_gap=gaps.append)
        assert next(watched).instance == first
        end = client.subscribe(lambda name, document: documents.append(name), on_gap=told.append)
        run = client.begin("knife_edge_scan", **EDGE)
        assert any(event.what == What.RUN for event in run)
        until(lambda: "start" in documents)
        daemon.kill()
        text = profile.read_text()
        profile.write_text(text[: text.index("@rig.device\ndef cam")])
        proxy.mend(daemon.start())
        with pytest.raises(UnknownName, match="was the server started anew"):
            run.wait()
        again = next(state for state in watched if state.instance != first)
        assert (again.engine, again.run_uid) == ("idle", "")
        assert [(gap.stream, gap.lost, gap.restarted) for gap in gaps] == [("state", None, True)]
        assert "cam" not in [device.name for device in client.devices]  # asked anew by itself
        assert x.read()["x"]["value"] is not None  # what was at hand is good
        if again.stopped:
            client.reset("the server was killed")
        x.enabled.set(True)
        x.move(0.0)
        done = client.run("knife_edge_scan", **{**EDGE, "stop": 2.4, "num": 11})
        assert end.wait(done.uids[0])
        assert [(gap.lost, gap.restarted) for gap in told] == [(None, True)]
        assert documents[-1] == "stop"
        assert documents.count("start") == 2
        assert documents.count("stop") == 1
        end()
        watched.close()
