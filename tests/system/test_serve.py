"""``rdaq serve`` as a process of its own, used from the command line, and told to end in the middle of a plan."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from benchmarks._profile import simulated
from untraced import RDAQ

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import connect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.sim import start_bench
from rdaq_ophyd.stop import commands as stop_commands


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Process, address, data directory and bench of a server with instruments of its own."""
    folder = tmp_path_factory.mktemp("served")
    with start_bench(fast=True, lift_baud=True, log_dir=folder) as own:
        (folder / "served.py").write_text(simulated("served", own.ports, delivered=False))
        words = ["serve", str(folder / "served.py"), "--port", "0", "--data", str(folder / "data"), "--operator", "ada"]
        with (folder / "log").open("w") as log, subprocess.Popen(
            [*RDAQ, *words], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:  # fmt: skip
            address = process.stdout.readline().strip()
            try:
                assert address.startswith("127.0.0.1:"), (folder / "log").read_text()
                yield process, address, folder, own
            finally:
                process.kill()


@pytest.fixture
def rdaq(served, capsys, monkeypatch):
    monkeypatch.setenv("RDAQ_HOST", served[1])

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_command_line_does_what_the_shell_does(served, rdaq):
    code, out, _ = rdaq("ls")
    assert code == 0
    assert "power_meter      Newport1830C: readable" in out
    assert any(line.split()[:3] == ["x.velocity", "number", "mm/s"] for line in rdaq("ls", "x")[1].splitlines())
    assert rdaq("set", "x.enabled", "true") == (0, "x.enabled True\n", "")
    assert rdaq("set", "power_meter.filter", "fast")[1] == "power_meter.filter fast\n"
    assert rdaq("mv", "x", "0.5") == (0, "x 0.5 mm\n", "")
    assert rdaq("mv", "x", "0.25", "mm", "--relative")[1] == "x 0.75 mm\n"
    assert rdaq("read", "x")[1].split() == ["x", "0.75"]
    words = ["--stage", "x", "--start", "0", "--stop", "2.4", "--num", "11"]
    code, out, err = rdaq("run", "knife_edge_scan", "--host", served[1], *words)
    assert (code, out.splitlines()[0].split()[1]) == (0, "success"), err
    assert err.startswith("scan ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("read", "y.velocit"), 2, "unknown device 'y.velocit'"),
        (("set", "x.velocity", "nan"), 1, "x-velocity: "),
        (("set", "x", "1"), 1, "x is no signal → `rdaq ls x` shows its signals"),
        (("mv", "x", "99"), 1, "outside"),
        (("mv", "x", "1", "um"), 1, "x moves in mm, not 'um' → give the position in mm"),
        (("mv", "x", "nan"), 1, "not a finite number"),
        (("resume",), 1, "no plan is paused: the engine is idle"),
        (("pause",), 1, ""),
        (("abort", "why"), 1, ""),
        (("read", "x", "--host", "127.0.0.1:1"), 1, "is `rdaq serve` running there"),
        (("ls", "--token-file", "/nowhere"), 1, "'/nowhere': No such file"),
    ],
)
def test_what_cannot_be_is_said_and_the_exit_code_says_so(rdaq, words, code, said):
    found, out, err = rdaq(*words)
    assert (found, out) == (code, "")
    assert said in err


def test_stop_and_reset_from_elsewhere(served, rdaq):
    code, out, _ = rdaq("stop", "--host", served[1], "somebody", "waved")
    assert (code, "x: confirmed\n" in out) == (0, True)
    code, _, err = rdaq("mv", "x", "0")
    assert (code, "somebody waved" in err) == (1, True)
    assert rdaq("reset", "--host", served[1], "all", "is", "well") == (0, "reset; nothing was started\n", "")


def test_the_server_of_the_environment_is_stopped_reset_and_runs_plans(served, rdaq, monkeypatch):
    monkeypatch.setattr(stop_commands, "anything_here", lambda: False)
    code, out, _ = rdaq("stop", "somebody", "waved")
    assert (code, "x: confirmed\n" in out) == (0, True)
    code, _, err = rdaq("run", "read_all_there", "--num", "1")
    assert (code, "unknown plan" in err) == (2, True)
    assert rdaq("reset", "all", "is", "well") == (0, "reset; nothing was started\n", "")
    monkeypatch.setenv("RDAQ_HOST", "127.0.0.1:1")
    code, out, err = rdaq("stop")
    assert (code, out) == (1, "")
    assert "is `rdaq serve` running there" in err


def test_stop_reaches_the_server_of_the_environment_and_this_machine(served, rdaq, monkeypatch):
    process, address, *_ = served
    code, out, _ = rdaq("stop", "somebody", "waved")
    assert code == 0
    assert "x: confirmed\n" in out  # there
    assert f"process {process.pid} (" in out  # and here, where it runs
    monkeypatch.setenv("RDAQ_HOST", "127.0.0.1:1")
    code, out, err = rdaq("stop", "somebody", "waved")
    assert code == 1  # nobody is there, and here all is stopped all the same
    assert f"process {process.pid} (" in out
    assert "is `rdaq serve` running there" in err
    assert rdaq("reset", "all", "is", "well", "--host", address)[0] == 0


def test_told_to_end_it_aborts_the_plan_stops_the_axes_and_keeps_the_record(served):
    process, address, folder, bench = served
    with connect(address) as client:
        client.devices.x.enabled.set(True)
        client.devices.x.move(0.0)
        run = client.begin("knife_edge_scan", stage="x", power_meter="power_meter", start=0, stop=20, num=2000)
        assert any(event.what == What.RUN for event in run)
        told = time.monotonic_ns()
        signal_another_thread(process.pid, signal.SIGTERM)
        assert process.wait(90) == 128 + signal.SIGTERM, (folder / "log").read_text()[-3000:]
    assert any(at > told for at in bench.arrivals("esp300", b"ST\r"))
    (spooled,) = (path for path in (folder / "data" / "spool").rglob("*.jsonl") if run.uids[0] in path.name)
    lines = [json.loads(line) for line in spooled.read_text().splitlines()]
    stop = next(line[1] for line in lines if isinstance(line, list) and line[0] == "stop")
    assert stop["exit_status"] == "abort"
    assert "SIGTERM" in stop["reason"]
    latch = json.loads(next(path for path in _latches() if path.stem == "served").read_text())
    assert (latch["tripped"], latch["reason"]) == (True, "SIGTERM")
    assert {verdict["device"] for verdict in latch["verdicts"]} >= {"x", "y"}


def signal_another_thread(pid, number):
    """As the system may do with a signal for the process: its main thread, which is to serve it, does not wake."""
    thread = next(thread for thread in map(int, os.listdir(f"/proc/{pid}/task")) if thread != pid)
    assert ctypes.CDLL(None).tgkill(pid, thread, int(number)) == 0


def _latches():
    return Path(os.environ["RDAQ_STATE"]).rglob("*.json")
