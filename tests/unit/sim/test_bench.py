"""The bench: the meter sees what the knife edge lets pass; in this process, in its own, on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import serial

from rdaq_ophyd.sim import Beam, SimBench, Spot, start_bench
from rdaq_ophyd.sim.__main__ import main


def ask(port, command, end):
    with serial.serial_for_url(port, baudrate=19200, timeout=10) as line:
        line.write(command)
        return line.read_until(end).decode().strip()


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
    return value


def test_the_beam_is_an_error_function():
    beam = Beam(radius=0.5, centre=1.2, power=2e-3, background=1e-9)
    assert beam.behind_knife(1.2) == pytest.approx(1e-3, rel=1e-5)
    assert beam.behind_knife(-5) == pytest.approx(2e-3, rel=1e-5)
    assert beam.behind_knife(9) == pytest.approx(1e-9)
    # The 1/e² radius: erfc(√2) / 2 of the power passes there.
    assert beam.behind_knife(1.7) / 2e-3 == pytest.approx(0.02275, rel=1e-3)


def test_the_meter_follows_the_stage(tmp_path):
    with SimBench(lift_baud=True, fast=True, log_dir=tmp_path / "logs", link_dir=tmp_path / "ports") as bench:
        stage, meter = bench.urls["esp300"], bench.urls["newport_1830c"]
        assert stage == str(tmp_path / "ports" / "esp300")
        until(lambda: float(ask(meter, b"D?\n", b"\n")) == pytest.approx(1e-3, rel=0.01))
        ask(stage, b"1MO;1PA1.2;1TP?\r", b"\r\n")
        until(lambda: ask(stage, b"1MD?\r", b"\r\n") == "1")
        until(lambda: float(ask(meter, b"D?\n", b"\n")) == pytest.approx(0.5e-3, rel=0.01))
    assert sorted(p.name for p in (tmp_path / "logs").iterdir()) == [
        "ell14.jsonl",
        "esp300.jsonl",
        "maitai.jsonl",
        "newport_1830c.jsonl",
    ]
    assert not list((tmp_path / "ports").iterdir())


def test_a_bench_that_cannot_start_leaves_nothing(tmp_path):
    (tmp_path / "newport_1830c.jsonl").mkdir()
    with pytest.raises(IsADirectoryError), SimBench(log_dir=tmp_path):
        pass


def test_in_its_own_process_with_a_log(tmp_path):
    with start_bench(lift_baud=True, fast=True, log_dir=tmp_path) as bench:
        assert list(bench.ports) == ["esp300", "newport_1830c", "maitai", "ell14"]
        assert ask(bench.ports["esp300"], b"1ST\r1MD?\r", b"\r\n") == "1"
        (when,) = until(lambda: bench.arrivals("esp300", b"1ST\r"))
        assert when < time.monotonic_ns()
        assert os.getpgid(bench.pid) != os.getpgid(0)  # Ctrl-C does not reach it
    with pytest.raises(ProcessLookupError):
        os.kill(bench.pid, 0)


def test_its_process_tells_what_a_camera_sees():
    with start_bench(shutter_open=False, lift_baud=True, fast=True) as bench:
        assert bench.spot() == Spot(size=1.0, power=0.0)
        ask(bench.ports["maitai"], b"SHUTTER 1\n*STB?\n", b"\n")
        assert until(lambda: bench.spot().power) == 1.0
    with pytest.raises(RuntimeError, match="have ended"):
        bench.spot()


def test_over_tcp():
    with start_bench(tcp=True) as bench:
        assert bench.ports["esp300"].startswith("socket://127.0.0.1:")
        assert ask(bench.ports["newport_1830c"], b"W?\n", b"\n") == "0800"
        with pytest.raises(ValueError, match="keeps no log"):
            bench.log("esp300")


def test_a_bench_that_does_not_start_is_an_error(tmp_path, capfd):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RuntimeError, match="did not start"), start_bench(log_dir=blocked):
        pass
    assert "FileExistsError" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_well(number):
    command = [sys.executable, "-m", "rdaq_ophyd.sim", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert set(json.loads(child.stdout.readline())) == {"esp300", "newport_1830c", "maitai", "ell14"}
        child.send_signal(number)
        assert child.wait(20) == 0


@pytest.mark.parametrize("flag", ["", "--until-stdin-closes"])
def test_it_ends_with_its_starter_only_when_asked(flag):
    script = (
        "import subprocess, sys, os;"
        "command = [sys.executable, '-m', 'rdaq_ophyd.sim', '--json', *sys.argv[1:]];"
        "c = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True);"
        "c.stdout.readline(); print(c.pid, flush=True); os._exit(0)"
    )
    command = [sys.executable, "-c", script, *filter(None, [flag])]
    pid = int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    if flag:
        until(lambda: not _alive(pid))
        return
    assert _alive(pid)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not _alive(pid))


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_person_gets_a_table(capsys, monkeypatch):
    read, write = os.pipe()
    with open(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        os.close(write)
        assert main(["--until-stdin-closes", "--fast", "--no-baud-limit"]) == 0
    shown = capsys.readouterr().out
    assert "esp300" in shown
    assert "no limit" in shown
    assert "its shutter is open" in shown
    assert "miniterm" in shown


def test_it_also_serves_from_another_thread(monkeypatch, capsys):
    """Where no signal can be caught, the end of standard input ends it."""
    read, write = os.pipe()
    codes = []
    with open(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        thread = threading.Thread(target=lambda: codes.append(main(["--json", "--until-stdin-closes"])))
        thread.start()
        ports = json.loads(until(lambda: capsys.readouterr().out))
        assert ask(ports["esp300"], b"1MO?\r", b"\r\n") == "0"
        os.write(write, b"still here\n")
        os.close(write)
        thread.join(20)
    assert codes == [0]


def test_it_starts_without_heavy_imports():
    script = (
        "import rdaq_ophyd.sim, sys; heavy = {'numpy', 'pydantic', 'bluesky', 'ophyd_async', 'serial'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
