"""`rdaq queue`: bluesky-queueserver for real, with its queue in the embedded Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
from queued import idle, last, open_run, queue_process, stop_documents, until, wait_for
from websockets.sync.client import connect as web

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import EngineBusy, QueueError
from rdaq_ophyd.queue._control import Control

SLEEP = {"item": {"item_type": "plan", "name": "sleep", "kwargs": {"time": 0}}}
KNIFE_EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 5}


@pytest.fixture(scope="module")
def queued(tmp_path_factory):
    folder = tmp_path_factory.mktemp("queued")
    with queue_process(folder, "--redis", "embedded", "--metrics-port", "0") as made:
        yield made


@pytest.fixture(scope="module")
def control(queued):
    with Control(queued.control, user="bob") as made:
        yield made


@pytest.fixture
def rdaq(queued, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["queue", words[0], "--control", queued.control, *words[1:]])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def plan(name, **kwargs):
    return {"item_type": "plan", "name": name, "kwargs": kwargs}


def test_plans_and_devices_are_told_with_their_types(control):
    plans = control.ask("plans_allowed")["plans_allowed"]
    assert {"knife_edge_scan", "count", "scan", "mv", "there_and_back", "image_stack"} <= plans.keys()
    assert "open_shutter" not in plans  # takes another plan, which no queue can hold
    assert "record" not in plans  # there is no card
    stage, power_meter, *_ = plans["knife_edge_scan"]["parameters"]
    assert {"x", "y", "stage.x"} <= set(stage["annotation"]["devices"]["Movable"])
    assert "power_meter" not in stage["annotation"]["devices"]["Movable"]
    assert power_meter["default"] == "'power_meter'"
    devices = control.ask("devices_allowed")["devices_allowed"]
    assert devices["x"]["is_movable"]
    assert not devices["power_meter"]["is_movable"]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (plan("knife_edge_scan", **KNIFE_EDGE | {"num": 4}), "Value 4 is out of range [5, 100000]"),
        (plan("knife_edge_scan", **KNIFE_EDGE | {"start": "here"}), "start"),
        (plan("knife_edge_scan", **KNIFE_EDGE | {"stage": "power_meter"}), "'stage.y', 'x' or 'y'"),
        (plan("knife_edge_scan", **KNIFE_EDGE | {"nun": 4}), "unexpected keyword argument 'nun'"),
        (plan("count", detectors=["nosuch"]), "power_meter"),
        (plan("mv") | {"args": ["nosuch", 1.0]}, "'stage.y', 'x' or 'y'"),
        (plan("nosuch"), "not in the list of allowed plans"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(control, item, said):
    with pytest.raises(QueueError) as refused:
        control.ask("queue_item_add", item=item, pos="back")
    assert said in str(refused.value)
    assert control.status()["items_in_queue"] == 0


def test_items_run_in_their_order_and_the_history_says_what_became_of_them(queued, control, rdaq):
    assert rdaq("add", "enable", "--axes", "x,y")[0] == 0
    words = [word for name, value in KNIFE_EDGE.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert rdaq("add", "knife_edge_scan", *words)[0] == 0
    code, out, _ = rdaq("add", "there_and_back")
    assert (code, out.endswith("there_and_back: 3 in the queue\n")) == (0, True)
    assert rdaq("add", "mv", "--args", "x,0.5")[0] == 0
    assert rdaq("add", "sleep", "--time", "0", "--front")[0] == 0
    assert [line.split()[1] for line in rdaq("list")[1].splitlines()] == [
        "sleep(time=0)", "enable(x,", "knife_edge_scan(stage=x,", "there_and_back()", "mv(x,",
    ]  # fmt: skip
    assert rdaq("start")[0] == 0
    until(control, lambda s: s["items_in_history"] == 5 and idle(s))
    lines = rdaq("history")[1].splitlines()
    assert [line.split()[2] for line in lines] == ["completed"] * 5
    assert "back again" in lines[3]
    uids = control.ask("history_get")["items"][2]["result"]["run_uids"]
    with connect(queued.address) as client:
        assert client.read("x")["x"]["value"] == pytest.approx(0.5, abs=1e-3)
    (stop,) = stop_documents(queued.data, uids[0])
    assert stop["exit_status"] == "success"


def test_who_queued_it_is_in_the_run(queued, control):
    # Bluesky's own client, as its users write it.
    program = (
        "from bluesky_queueserver_api.zmq import REManagerAPI; from bluesky_queueserver_api import BPlan; import sys\n"
        "RM = REManagerAPI(zmq_control_addr=sys.argv[1]); RM.user = 'bob'\n"
        "RM.item_add(BPlan('count', ['power_meter'], num=2)); RM.queue_start(); RM.wait_for_idle(timeout=30)"
    )
    subprocess.run([sys.executable, "-c", program, queued.control], check=True, timeout=60)
    result = last(control)
    (path,) = (p for p in (queued.data / "spool").rglob("*.jsonl") if result["run_uids"][0] in p.name)
    start = next(
        line[1]
        for line in map(json.loads, path.read_text().splitlines())
        if isinstance(line, list) and line[0] == "start"
    )
    assert (start["submitted_by"], start["operator"]) == ("bob", "ada")


def test_a_plan_that_fails_is_told_kept_and_stops_the_queue(control):
    for item in (plan("knife_edge_scan", **KNIFE_EDGE | {"stop": 9999.0}), plan("count", detectors=["power_meter"])):
        control.ask("queue_item_add", item=item, pos="back")
    control.ask("queue_start")
    until(control, lambda s: s["items_in_queue"] == 2 and idle(s))
    assert last(control)["exit_status"] == "failed"
    assert last(control)["msg"].startswith("Plan failed: x: target 9999 mm is outside")
    control.ask("queue_clear")


def test_documents_are_told_beside_it(queued, control):
    told = []
    with connect(queued.address) as client:
        end = client.subscribe(lambda name, document: told.append((name, document)))
        control.ask("queue_item_add", item=plan("count", detectors=["power_meter", "cam"]))
        control.ask("queue_start")
        until(control, lambda s: s["items_in_queue"] == 0 and idle(s))
        until(control, lambda _s: bool(told) and told[-1][0] == "stop")
        end()
    assert {"start", "descriptor", "event", "stream_datum", "stop"} <= {name for name, _ in told}


def test_metrics_and_the_page_are_beside_it_and_plans_still_go_through_the_queue(queued, control):
    metrics, page = control.status()["also_at"]
    with urllib.request.urlopen(metrics, timeout=60) as answer:
        assert b'rdaq_engine_state{state="idle"} 1.0' in answer.read()
    with urllib.request.urlopen(f"{metrics.removesuffix('metrics')}healthz", timeout=60) as answer:
        assert json.load(answer)["status"] == "ok"
    with urllib.request.urlopen(page, timeout=60) as answer:
        assert b"STOP" in answer.read()
    with web(page.replace("http", "ws", 1) + "ws", proxy=None, origin=page.rstrip("/")) as socket:
        socket.send(json.dumps({"id": 1, "call": "RunPlan", "request": {"name": "time_series"}}))
        assert "the queue begins all plans of this rig" in socket.recv(60)


def test_devices_are_read_beside_it_and_plans_go_through_the_queue(queued, rdaq):
    with connect(queued.address) as client:
        assert client.read("power_meter")
        assert client.devices.x.move(0.25) == pytest.approx(0.25, abs=1e-3)
        with pytest.raises(EngineBusy, match="the queue begins all plans of this rig.*rdaq queue add"):
            client.run("knife_edge_scan", **KNIFE_EDGE)
    code, out, _ = rdaq("status")
    assert (code, f"rdaq ls --host {queued.address}" in out) == (0, True)


def test_other_groups_may_do_what_their_permissions_say(queued, control):
    permissions = control.ask("permissions_get")["user_group_permissions"]
    permissions["user_groups"]["students"] = {"allowed_plans": ["count"], "allowed_devices": ["power_meter"]}
    control.ask("permissions_set", user_group_permissions=permissions)
    with Control(queued.control, user="eve", group="students") as student:
        assert set(student.ask("plans_allowed")["plans_allowed"]) == {"count"}
        with pytest.raises(QueueError, match="not in the list of allowed plans"):
            student.ask("queue_item_add", item=plan("knife_edge_scan", **KNIFE_EDGE))
        with pytest.raises(QueueError, match="power_meter"):
            student.ask("queue_item_add", item=plan("count", detectors=["cam"]))
        student.ask("queue_item_add", item=plan("count", detectors=["power_meter"]))
    control.ask("queue_clear")


def begun_and_paused(control, client, **more):
    control.ask("queue_item_add", item=plan("knife_edge_scan", **KNIFE_EDGE | more))
    control.ask("queue_item_add", item=SLEEP["item"])
    control.ask("queue_start")
    until(control, lambda s: s["re_state"] == "running")
    client.pause()
    until(control, lambda s: s["manager_state"] == "paused")


def test_a_plan_that_is_paused_and_resumed_elsewhere_goes_on_and_so_does_the_queue(queued, control):
    with connect(queued.address) as client:
        begun_and_paused(control, client, num=15)
        client.resume()
        until(control, lambda s: s["items_in_queue"] == 0 and idle(s))
    scan, sleep = (item["result"] for item in control.ask("history_get")["items"][-2:])
    assert (scan["exit_status"], scan["msg"]) == ("completed", "resumed by others than the queue")
    assert sleep["exit_status"] == "completed"


@pytest.mark.parametrize("how", ["abort", "stop_all"])
def test_a_plan_that_is_paused_and_ended_elsewhere_does_not_hold_the_queue(queued, control, how):
    with connect(queued.address) as client:
        begun_and_paused(control, client, num=500)
        getattr(client, how)("enough")
        until(control, idle)
        assert (last(control)["exit_status"], last(control)["msg"]) == ("aborted", "aborted by others than the queue")
        assert control.status()["items_in_queue"] == 2
        if how == "stop_all":
            client.reset("it was a test")
    control.ask("queue_clear")


def test_stop_all_ends_the_plan_and_nothing_begins_until_it_is_reset(queued, control, rdaq):
    control.ask("queue_mode_set", mode={"ignore_failures": True})
    for num in (500, 5):
        control.ask("queue_item_add", item=plan("knife_edge_scan", **KNIFE_EDGE | {"num": num}))
    control.ask("queue_autostart", enable=True)
    until(control, lambda s: s["re_state"] == "running")
    with connect(queued.address) as client:
        told = time.monotonic_ns()
        report = client.stop_all("smoke")
        assert {verdict.outcome for verdict in report.verdicts} == {"confirmed"}
        assert any(at > told for at in queued.bench.arrivals("esp300", b"ST\r"))
        status = until(control, lambda s: idle(s) and bool(s["stopped"]))
        until(control, lambda s: not s["queue_autostart_enabled"])
        assert (status["items_in_queue"], last(control)["exit_status"]) == (2, "aborted")
        assert "smoke" in last(control)["msg"]
        for call, words in {
            "queue_start": {},
            "queue_autostart": {"enable": True},
            "queue_item_execute": SLEEP,
        }.items():
            with pytest.raises(QueueError, match="everything was stopped.*smoke.*rdaq reset"):
                control.ask(call, **words)
        code, out, _ = rdaq("status")
        assert (code, "STOPPED: everything was stopped" in out) == (1, True)
        client.reset("no fire")
    until(control, lambda s: not s["stopped"])
    assert (rdaq("status")[0], control.status()["manager_state"]) == (0, "idle")  # nothing begins by itself
    control.ask("queue_item_remove", pos="front")
    control.ask("queue_start")
    until(control, lambda s: s["items_in_queue"] == 0 and idle(s))
    assert last(control)["exit_status"] == "completed"
    control.ask("queue_mode_set", mode={"ignore_failures": False})


def test_a_worker_that_is_killed_is_noticed_and_what_it_did_is_not_done_again(queued, control, rdaq):
    control.ask("queue_item_add", item=plan("knife_edge_scan", **KNIFE_EDGE | {"num": 500}))
    control.ask("queue_autostart", enable=True)
    status = until(control, lambda s: s["re_state"] == "running")
    uid = open_run(queued.data)
    told = time.monotonic_ns()
    os.kill(status["worker_pid"], signal.SIGKILL)

    status = until(control, lambda s: idle(s) and s["worker_died"])
    assert "died" in status["worker_died"]
    assert "in plan knife_edge_scan" in status["worker_died"]
    assert not status["worker_environment_exists"]
    assert not status["queue_autostart_enabled"]
    assert (last(control)["exit_status"], last(control)["msg"]) == ("failed", status["worker_died"])
    assert status["items_in_queue"] == 1
    # The watchdog has stopped the axes, the run has an end that says so.
    wait_for(lambda: any(at > told for at in queued.bench.arrivals("esp300", b"ST\r")))
    wait_for(lambda: stop_documents(queued.data, uid))
    (stop,) = stop_documents(queued.data, uid)
    assert stop["exit_status"] in ("abort", "fail")
    code, out, _ = rdaq("status")
    assert (code, "DIED: the worker died" in out) == (1, True)
    log = (queued.folder / "log").read_text()
    assert "the queue stands still" in log
    assert f"run {uid}" in log


def test_it_is_opened_again_when_somebody_has_looked(queued, control, rdaq):
    wait_for(lambda: main(["reset", "looked", "at", "the", "bench"]) == 0)
    code, out, err = rdaq("open")
    assert (code, "devices: rdaq ls --host 127.0.0.1:" in out) == (0, True), err
    status = control.status()
    assert (status["items_in_queue"], status["manager_state"], status["worker_died"]) == (1, "idle", "")
    control.ask("queue_clear")
    control.ask("queue_item_add", item={"item_type": "plan", "name": "enable", "args": ["x", "y"]})
    control.ask("queue_start")
    until(control, lambda s: s["items_in_queue"] == 0 and idle(s))
    assert last(control)["exit_status"] == "completed"


def test_told_to_end_it_stops_everything_and_keeps_the_queue(queued, control):
    control.ask("queue_item_add", item=plan("knife_edge_scan", **KNIFE_EDGE | {"num": 500}))
    control.ask("queue_item_add", item=plan("sleep", time=0))
    control.ask("queue_start")
    until(control, lambda s: s["re_state"] == "running")
    family = psutil.Process(queued.process.pid).children(recursive=True)
    assert len(family) >= 5  # manager's two, worker, its watchdog, the catalog's
    queued.process.send_signal(signal.SIGTERM)
    assert queued.process.wait(90) == 128 + signal.SIGTERM, (queued.folder / "log").read_text()[-5000:]
    _gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    kept = json.loads((queued.data / "queue" / "queue.json").read_text())["keys"]
    assert [json.loads(item)["name"] for item in kept["rdaq_queued0_plan_queue"]] == ["knife_edge_scan", "sleep"]
    history = [json.loads(item)["result"] for item in kept["rdaq_queued0_plan_history"]]
    assert history[-1]["exit_status"] == "aborted"
    (stop,) = stop_documents(queued.data, history[-1]["run_uids"][0])
    assert (stop["exit_status"], "SIGTERM" in stop["reason"]) == ("abort", True)
    assert os.stat(queued.data / "queue").st_mode & 0o077 == 0
