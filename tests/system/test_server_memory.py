"""What many requests at once, and those that are too large, cost the server: hardly more than what it lets in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from rdaq_ophyd.server import Limits
from rdaq_ophyd.wire import SERVICE, messages

SERVE = """
import sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.server import Server
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine
engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
settings = SimpleNamespace(data_dir=Path(sys.argv[1]))
session = SimpleNamespace(RE=engine, rig=Rig("memory"), settings=settings, at_close=lambda call: None)
with Server(session) as server:
    print(server.address, flush=True)
    sys.stdin.read()
stop_loop(engine)
"""
AT_ONCE = 80
MIB = 1 << 20


@pytest.fixture
def server(tmp_path):
    """Its process and address."""
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.stdin.close()
        process.wait(60)


def peak(process):
    """Most bytes of memory that it had so far."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def flood(address, size):
    """Send so large a request many times at once, with a field that nobody knows; the codes."""
    data = messages.Value(text="x" * size).SerializeToString()
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        calls = [channel.unary_unary(f"/{SERVICE}/GetState").future(data, timeout=60) for _ in range(AT_ONCE)]
        return {call.code() for call in calls}


def test_requests_that_are_too_large_take_no_memory(server):
    process, address = server
    flood(address, 10)
    before = peak(process)
    assert flood(address, 5 * MIB) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert peak(process) - before < 40 * MIB, "of 400 MiB that were sent"


def test_those_that_are_just_let_in_take_no_more_than_a_few_times_their_size(server):
    process, address = server
    size = Limits().request_bytes - 100
    flood(address, 10)
    before = peak(process)
    assert flood(address, size) == {grpc.StatusCode.OK}
    assert peak(process) - before < 4 * AT_ONCE * size
