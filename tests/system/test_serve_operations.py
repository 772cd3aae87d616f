"""What whoever runs a daemon sees of it: metrics, health, log lines, the service manager, limits."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time

import grpc
import pytest
from benchmarks._profile import simulated
from benchmarks._served import Served
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from untraced import RDAQ

from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import LimitError, TooMuch
from rdaq_ophyd.operations import FAMILIES
from rdaq_ophyd.sim import start_bench
from rdaq_ophyd.wire import SERVICE, DaqStub, messages


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path_factory.mktemp("manager") / "notify"))
        made.settimeout(30)
        yield made


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, manager):
    folder = tmp_path_factory.mktemp("operated")
    told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "2000000"}
    with start_bench(fast=True, lift_baud=True, log_dir=folder) as bench:
        text = simulated("operated", bench.ports, card=True)
        limits = ["--limit", "client_streams=3", "--limit", "plan_bytes=5000"]
        with Served(text, folder, limits, environment=told, command=RDAQ) as made:
            made.bench = bench
            yield made


@pytest.fixture(scope="module")
def client(daemon):
    with connect(daemon.address) as made:
        yield made


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def scraped(daemon):
    """Name and labels to value."""
    families = text_string_to_metric_families(daemon.get("/metrics")[1])
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def test_every_metric_of_the_table_is_served_and_no_other(daemon, client):
    client.read("x")
    kinds = dict(re.findall(r"^# TYPE (rdaq_\S+) (\S+)$", daemon.get("/metrics")[1], re.MULTILINE))
    assert kinds == {family.name: family.kind for family in FAMILIES}
    values = scraped(daemon)
    for family in FAMILIES:
        suffix = "_count" if family.kind == "histogram" else ""
        series = [key for key in values if key[0] == family.name + suffix]
        assert all({name for name, _ in key[1:]} == set(family.labels) for key in series), family
    assert values["process_resident_memory_bytes",] > 1e7
    port = ("port", daemon.bench.ports["esp300"])
    assert values["rdaq_link_connected", port] == 1
    assert values["rdaq_link_round_trip_seconds_count", port] == values["rdaq_link_exchanges_total", port] > 10
    assert values["rdaq_devices",] == 6
    assert values["rdaq_grpc_calls_total", ("code", "OK"), ("method", "Read")] >= 1
    openmetrics = daemon.get("/metrics", accept="application/openmetrics-text; version=1.0.0")[1]
    assert openmetrics.endswith("# EOF\n")


def test_runs_frames_documents_and_stops_are_counted(daemon, client):
    before = scraped(daemon)
    client.devices.x.enabled.set(True)
    done = client.run("image_stack", cam="cam", num=3)
    client.stop_all("a drill")
    stopped = scraped(daemon)
    client.reset("it was a drill")
    after = scraped(daemon)

    def grown(*key, end=after):
        return end.get(key, 0) - before.get(key, 0)

    assert grown("rdaq_runs_total", ("exit_status", "success")) == len(done.uids) == 1
    assert grown("rdaq_plans_total", ("exit_status", "success")) == 1
    assert grown("rdaq_documents_total", ("name", "start")) == grown("rdaq_documents_total", ("name", "stop")) == 1
    assert grown("rdaq_camera_frames_written_total", ("camera", "cam")) == 3
    assert grown("rdaq_camera_frames_lost_total", ("camera", "cam")) == 0
    assert grown("rdaq_stops_total") == 1
    assert stopped["rdaq_stop_tripped",] == 1
    assert stopped["rdaq_stop_devices", ("outcome", "confirmed")] >= 2
    assert after["rdaq_stop_tripped",] == after["rdaq_stop_devices", ("outcome", "confirmed")] == 0


def test_it_is_alive_and_ready_and_says_so_everywhere(daemon, client):
    assert daemon.get("/healthz")[0] == 200
    until(lambda: daemon.get("/readyz")[0] == 200, 90)  # Tiled takes some seconds, on a busy machine many
    client.stop_all("a drill")
    checks = json.loads(daemon.get("/readyz")[1])
    assert checks["status"] == "ok", "a stop that holds is a state, and no ill health"
    assert set(checks["checks"]) == {"loop server", "loop engine", "devices", "catalog", "staying"}
    client.reset("it was a drill")
    assert daemon.get("/nowhere") == (404, "/metrics, /healthz, /readyz\n")
    assert served(daemon) == health_pb2.HealthCheckResponse.SERVING


def served(daemon):
    with grpc.insecure_channel(daemon.address) as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=SERVICE)).status


def test_a_client_gets_no_more_than_its_share(daemon, client):
    with connect(daemon.address) as greedy:
        streams = [greedy.watch() for _ in range(3)]
        for stream in streams:
            next(stream)
        with pytest.raises(TooMuch, match=r"3 streams of yours are open \(client_streams\) → close one"):
            next(greedy.watch())
        assert greedy.state.engine == "idle"
        # Channels of one process share a connection unless they are told not to.
        with grpc.insecure_channel(daemon.address, [("grpc.use_local_subchannel_pool", 1)]) as other:
            stub = DaqStub(other)
            assert next(stub.WatchState(messages.GetStateRequest(), timeout=20)).engine == "idle"
        for stream in streams:
            stream.close()
    with pytest.raises(LimitError, match=r"at most 5000 \(plan_bytes\)"):
        client.begin("knife_edge_scan", md={"note": "x" * 6000})
    assert daemon.metric('rdaq_grpc_calls_total{code="RESOURCE_EXHAUSTED",method="WatchState"}') == 1


def test_the_log_is_a_line_of_json_each_with_what_is_known(daemon, client):
    with pytest.raises(LimitError):
        client.devices.x.velocity.set(float("nan"))
    client.stop_all("for the log")
    client.reset("for the log")
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) for line in lines)
    assert {line["level"] for line in lines} <= {"info", "warning", "error", "critical"}


def test_the_service_manager_hears_of_it_and_sigterm_ends_it(daemon, client, manager):
    said = []

    def heard(text):
        end = time.monotonic() + 30
        while not any(text in message for message in said):
            assert time.monotonic() < end, said
            said.append(manager.recv(4096).decode())
        return True

    assert heard("READY=1\nSTATUS=serves operated at 127.0.0.1:")
    assert heard("WATCHDOG=1")
    client.stop_all("for the manager")
    assert heard("STATUS=stopped: everything was stopped")
    began = time.monotonic()
    assert daemon.end() == 128 + signal.SIGTERM, daemon.log.read_text()[-3000:]
    assert time.monotonic() - began < 60
    assert heard("STOPPING=1")
    assert said[-1].startswith("STOPPING=1")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(daemon.url.rpartition(":")[2]))) != 0
    assert os.path.exists(daemon.data / "session" / "audit.log")
