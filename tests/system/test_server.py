"""A session for other processes: devices, plans and stop over a real gRPC connection, with real instruments behind."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import bluesky.plan_stubs as bps
import grpc
import numpy as np
import pytest
from certificates import certificate_in
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import given, settings
from hypothesis import strategies as st
from optics import no_tiled

from rdaq_ophyd.client import RunFailed, connect
from rdaq_ophyd.client._runs import What
from rdaq_ophyd.errors import EngineBusy, LimitError, NotAllowed, ServerGone, StopLatched, UnknownName
from rdaq_ophyd.plans import enable
from rdaq_ophyd.server import Access, Role, Server, Token
from rdaq_ophyd.startup import start
from rdaq_ophyd.wire import SERVICE, messages

ENDLESS_OR_MEANT = {
    "StopAll", "WatchLog", "WatchState", "StreamDocuments", "Halt", "Abort", "Finish", "Pause", "Resume", "OpenCatalog",
}  # fmt: skip
ANSWERS = {"ListDevices", "ListPlans", "GetState", "DescribeDevice", "GetSession", "Locate"}
"""Those that need to be told nothing."""
METHODS = [method.name for method in messages.DESCRIPTOR.services_by_name["Daq"].methods]


@pytest.fixture(scope="module")
def session(profile_path, data_dir, nothing_left_by_module):
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(profile_path), data_dir=data_dir) as made:
            made.RE(bps.mv(made.rig["x"].velocity, 5.0))
            yield made


@pytest.fixture(scope="module")
def server(session):
    session.RE(enable(session.rig["x"]))
    with Server(session) as made:
        yield made


@pytest.fixture(scope="module")
def module_client(server):
    with connect(server.address) as made:
        yield made


@pytest.fixture
def client(module_client, session):
    session.RE(bps.mv(session.rig["x"], 0))
    yield module_client
    with contextlib.suppress(EngineBusy):
        if module_client.state.engine != "idle":
            module_client.abort("the test is over")
    until(lambda: not module_client.state.moving)


def knife_edge(client, **more):
    return client.begin("knife_edge_scan", stage="x", power_meter="power_meter", start=0, stop=2.4, num=11, **more)


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def follow_to(run, what):
    for event in run:
        if event.what == what:
            return event
    raise AssertionError(f"{what} never came: {run}")


# -- devices --------------------------------------------------------------------------------------------------


def test_devices_are_told_with_what_they_can_do_their_units_and_limits(client):
    names = [device.name for device in client.devices]
    assert names == ["stage", "x", "y", "power_meter", "cam"]
    x = client.devices.x
    assert {"movable", "homable", "haltable"} <= set(x.capabilities)
    assert (x.units, x.limits) == ("mm", (-25.0, 25.0))
    assert x.stop_capability.startswith("preempts within 5 ms")
    assert (x.velocity.units, x.velocity.writable, x.readback.writable) == ("mm/s", True, False)
    assert client.devices.power_meter.filter.choices == ["slow", "medium", "fast"]
    assert {"velocity", "home", "readback"} <= set(dir(x))
    assert client.devices["stage.x"].children.keys() == x.children.keys()
    with pytest.raises(UnknownName, match="did you mean x"):
        client.devices["xx"]
    with pytest.raises(AttributeError, match="did you mean velocity"):
        x.velocty  # noqa: B018


def test_readings_come_from_the_instruments_now(client, session, bench):
    asked = len(bench.arrivals("esp300", b"1TP?"))
    found = client.read("x", "power_meter.power", "x.velocity")
    assert found["x"]["value"] == 0.0
    assert found["x-velocity"]["value"] == 5.0
    assert found["power_meter-power"]["alarm_severity"] == 0
    assert time.time() - found["x"]["timestamp"] < 60
    assert len(bench.arrivals("esp300", b"1TP?")) > asked
    with pytest.raises(UnknownName, match="unknown device 'x.velocit'"):
        client.read("x.velocit")
    with pytest.raises(LimitError, match="nothing is to be read"):
        client.read()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e9, "fast", True, np.arange(3.0), [1.0, 2.0]])
def test_what_a_signal_does_not_take_is_refused_here_as_there(client, bench, value):
    velocity = client.devices.x.velocity
    with pytest.raises((LimitError, TypeError), match="x-velocity"):
        velocity.set(value)
    assert velocity.get() == 5.0


def test_a_signal_is_set_and_read_back(client):
    assert client.devices.x.velocity.set(4) == 4.0
    assert client.devices.x.velocity.get() == 4.0
    assert client.devices.power_meter.filter.set("fast") == "fast"
    client.devices.x.velocity.set(5)
    with pytest.raises(LimitError, match="x is no signal that can be set → move it"):
        client.devices.x._calls.ask("Set", messages.SetRequest(name="x", value=messages.Value(number=1)), timeout=9)
    with pytest.raises(LimitError, match="x.readback is no signal that can be set"):
        client.devices.x.readback.set(1.0)
    with pytest.raises(LimitError, match="timeout nan s"):
        client.devices.x.velocity.set(4, timeout=float("nan"))


def test_a_move_tells_how_far_it_is(client):
    seen = []
    assert client.devices.x.move(1.0, watch=seen.append) == pytest.approx(1.0, abs=1e-3)
    assert seen[-1].done
    assert not any(progress.done for progress in seen[:-1])
    assert [p.current for p in seen] == sorted(p.current for p in seen)
    assert client.devices.x.move(-0.5, relative=True) == pytest.approx(0.5, abs=1e-3)
    for target in (26.0, float("nan")):
        with pytest.raises(LimitError, match=str(int(target)) if target == target else "not a finite number"):
            client.devices.x.move(target)
    with pytest.raises(LimitError, match="power_meter does not move"):
        client.devices.power_meter.move(1.0)


def test_whoever_leaves_a_move_stops_it(client, bench, session):
    stops = len(bench.arrivals("esp300", b"1ST"))
    for progress in client.devices.x.moving(20.0):
        if progress.current > 0.1:
            break
    until(lambda: len(bench.arrivals("esp300", b"1ST")) > stops)
    until(lambda: not client.state.moving)
    assert client.read("x")["x"]["value"] < 19


def test_one_device_is_stopped(client):
    moves = client.devices.x.moving(20.0)
    next(moves)
    client.devices.x.stop()
    with pytest.raises(Exception, match="stopped|interrupted"):
        list(moves)
    with pytest.raises(UnknownName):
        client.devices.x._calls.ask("StopDevice", messages.StopDeviceRequest(name="nobody"), timeout=9)


# -- plans ----------------------------------------------------------------------------------------------------


def test_a_plan_is_told_from_begin_to_end_and_its_documents_are_all_there(client, session):
    documents = []
    listening = threading.Event()

    def take(name, document):
        documents.append((name, document))
        if name == "stop":
            listening.set()

    end = client.subscribe(take)
    run = knife_edge(client, md={"sample": "razor"}, settle=0.25)  # the meter follows slowly
    events = list(run)
    assert listening.wait(20)
    end()
    assert [event.what for event in events] == [What.RUN, What.ENDED]
    assert run.exit_status == "success"
    assert "center" in run.result
    names = [name for name, _ in documents]
    assert names[0] == "start"
    assert names[-1] == "stop"
    start = documents[0][1]
    assert (start["uid"], start["sample"], start["submitted_by"]) == (run.uids[0], "razor", "local")
    numbers = [d["seq_num"] for n, d in documents if n == "event" and "x" in d["data"] and "fit" not in d["data"]]
    assert max(numbers) == 11
    assert client.state.engine == "idle"


def test_the_plans_are_listed_with_their_parameters(client):
    plans = client.plans()
    assert {"knife_edge_scan", "raster", "fly_scan", "power_vs_angle"} <= plans.keys()
    assert not any(name.startswith("with_") for name in plans)
    given = {p.name: p for p in plans["knife_edge_scan"].parameters}
    assert given["stage"].device
    assert given["num"].default_text == "41"
    assert "number of points" in given["num"].help


@pytest.mark.parametrize(
    ("plan", "arguments", "error", "said"),
    [
        ("knife_edg", {}, UnknownName, "did you mean knife_edge"),
        ("../../etc/passwd.py", {}, UnknownName, "unknown plan"),
        ("knife_edge_scan", {"stage": "x", "strt": 0}, UnknownName, "did you mean"),
        ("knife_edge_scan", {"stage": "nobody", "start": 0, "stop": 1}, UnknownName, "unknown device 'nobody'"),
        ("knife_edge_scan", {"stage": "x", "start": 0, "stop": 1, "num": 2}, LimitError, "num = 2"),
    ],
)
def test_what_is_no_such_plan_is_refused_before_it_begins(client, plan, arguments, error, said):
    with pytest.raises(error, match=said):
        client.begin(plan, **arguments)
    assert client.state.engine == "idle"


def test_a_plan_that_fails_says_why(client):
    with pytest.raises(RunFailed, match="knife_edge_scan: fail: x: target 240 mm is outside .* -25 to 25 mm"):
        client.run("knife_edge_scan", stage="x", power_meter="power_meter", start=0, stop=240, num=11)


def test_a_plan_is_paused_resumed_and_nothing_gets_in_its_way(client):
    run = knife_edge(client, settle=0.05)
    follow_to(run, What.RUN)
    assert client.pause().engine == "paused"
    follow_to(run, What.PAUSED)
    assert client.state.plan == "knife_edge_scan"
    x = client.devices.x
    for refused in (lambda: x.move(1.0), lambda: x.velocity.set(1.0), lambda: knife_edge(client)):
        with pytest.raises(EngineBusy, match="paused"):
            refused()
    assert client.resume().engine == "running"
    assert [event.what for event in run] == [What.RESUMED, What.ENDED]
    assert run.exit_status == "success"
    with pytest.raises(EngineBusy):
        client.pause()


@pytest.mark.parametrize(("how", "status"), [("finish", "success"), ("abort", "abort"), ("halt", "abort")])
@pytest.mark.parametrize("paused", [False, True])
def test_a_plan_is_ended(client, how, status, paused):
    run = knife_edge(client, settle=0.05)
    follow_to(run, What.RUN)
    if paused:
        client.pause()
    assert getattr(client, how)().engine == "idle"
    follow_to(run, What.ENDED)
    assert run.exit_status == status
    assert client.devices.x.move(0.0) == pytest.approx(0, abs=1e-3)  # it is free again


def test_a_plan_goes_on_without_whoever_began_it(server, client):
    with connect(server.address) as other:
        run = knife_edge(other)
        follow_to(run, What.RUN)
    until(lambda: client.state.engine == "idle")
    assert client.state.run_uid == ""


def test_a_plan_is_not_begun_while_a_device_is_moved_by_hand(client, session):
    moves = client.devices.x.moving(20.0)
    next(moves)
    with pytest.raises(EngineBusy, match="x is set by hand"):
        knife_edge(client)
    with pytest.raises(EngineBusy, match="mv was not begun|a plan was not begun"):  # at the prompt
        session.RE(bps.mv(session.rig["x"], 0))
    moves.close()


# -- stop -----------------------------------------------------------------------------------------------------


def test_a_stop_gets_through_while_clients_ask_without_end(server, client, bench):
    over = threading.Event()

    def ask():
        with connect(server.address) as busy:
            while not over.is_set():
                busy.read("x", "x.velocity", "power_meter")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    watched = client.watch()
    assert not next(watched).stopped
    run = knife_edge(client, settle=0.05)
    follow_to(run, What.RUN)
    called = time.monotonic_ns()
    report = client.stop_all("somebody waved")
    over.set()
    assert any(at > called for at in bench.arrivals("esp300", b"ST\r"))
    assert {("x", "confirmed"), ("y", "confirmed")} <= {(v.device, v.outcome) for v in report.verdicts}
    assert report.by.startswith("local (")
    follow_to(run, What.ENDED)
    assert run.exit_status == "abort"
    assert "somebody waved" in run.reason
    assert "somebody waved" in next(state for state in watched if state.stopped and state.engine == "idle").why
    for refused in (lambda: client.devices.x.move(1.0), lambda: knife_edge(client)):
        with pytest.raises(StopLatched, match="somebody waved"):
            refused()
    with pytest.raises(LimitError, match="a reset needs a reason"):
        client.reset(" ")
    client.reset("nobody was hurt")
    assert not next(state for state in watched if not state.stopped).stopped
    for thread in threads:
        thread.join(30)


# -- the server itself ----------------------------------------------------------------------------------------


def test_the_audit_log_says_who_did_what(client, session):
    client.devices.x.velocity.set(5)
    client.read("x")
    lines = (session.settings.data_dir / "session" / "audit.log").read_text().splitlines()
    last = json.loads(lines[-1])
    assert (last["who"], last["call"]) == ("local", "Set")
    assert "x.velocity" in last["what"]
    assert last["peer"].startswith("ipv4:127.0.0.1:")


def test_health_and_reflection_are_served(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        health = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        assert SERVICE in ProtoReflectionDescriptorDatabase(channel).get_services()


@settings(max_examples=60)
@given(st.sampled_from(METHODS), st.binary(max_size=200))
def test_no_bytes_bring_it_down_or_reach_an_instrument(module_client, bench, method, data):
    if method in ENDLESS_OR_MEANT:
        data = b"\xff" + data  # no message
    written = len(bench.log("esp300"))
    with grpc.insecure_channel(module_client.address) as channel:
        call = channel.unary_stream(f"/{SERVICE}/{method}")(data, timeout=20)
        try:
            answers = list(call)
        except grpc.RpcError as error:
            assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED, error
        else:
            assert method in ANSWERS, answers
    assert module_client.state.engine == "idle"
    sent = b"".join(r.data for r in bench.log("esp300")[written:] if r.direction == "rx")
    assert b"PA" not in sent
    assert b"PR" not in sent


def test_with_tokens_and_tls_each_does_what_they_may(session, tmp_path):
    certificate, key = certificate_in(tmp_path)
    tokens = [Token("alice", Role.OPERATE, "a" * 40), Token("bob", Role.OBSERVE, "b" * 40)]
    with Server(session, Access("localhost", 0, tokens, certificate, key)) as server:
        with connect(server.address, token="b" * 40, certificate=certificate) as bob:
            assert bob.read("x")["x"]["value"] is not None
            for refused in (lambda: bob.devices.x.velocity.set(1.0), lambda: bob.devices.x.move(1.0), bob.pause):
                with pytest.raises(NotAllowed, match="bob may observe"):
                    refused()
            assert bob.stop_all("bob saw smoke").by.startswith("bob (")
            with pytest.raises(NotAllowed, match="Reset is to operate"):
                bob.reset("it was steam")
        with connect(server.address, token="a" * 40, certificate=certificate) as alice:
            alice.reset("it was steam")
            assert not alice.state.stopped
        for token in (None, "c" * 40):
            with pytest.raises(NotAllowed, match="no known token"):
                connect(server.address, token=token, certificate=certificate)
        with pytest.raises(ServerGone):
            connect(server.address, token="a" * 40, timeout=3)  # without TLS


def test_a_server_that_ended_is_told(session):
    with Server(session) as brief:
        other = connect(brief.address)
        assert other.state.rig == "test"
    with pytest.raises(ServerGone, match=brief.address):
        other.read("x")
    other.close()
    with pytest.raises(ServerGone):
        connect(brief.address, timeout=2)
