"""A session as all doors open it: scans on real serial devices, stops on the wire, the record, the catalog."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from benchmarks._profile import simulated
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus

from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import CatalogError, DataDirectoryError, LimitError, RdaqError, StopLatched, UnknownName
from rdaq_ophyd.plans import enable, fly_stack, image_stack, knife_edge_scan
from rdaq_ophyd.server import Server
from rdaq_ophyd.sim import start_bench
from rdaq_ophyd.startup import start
from rdaq_ophyd.stop import latch, latch_path, read_record


def position(axis) -> float:
    return call_in_bluesky_event_loop(axis.locate())["readback"]


def when(condition, action):
    """Act from another thread once the condition holds (bounded)."""
    over = threading.Event()

    def watch():
        for _ in range(4000):
            if condition():
                action()
                return
            if over.wait(0.005):
                return

    thread = threading.Thread(target=watch)
    thread.start()

    def join():
        over.set()
        thread.join(30)

    return join


def test_a_scan_goes_from_the_wire_to_the_catalog(session):
    x, meter = session.rig["x"], session.rig["power_meter"]
    session.RE(bps.mv(meter.filter, "fast"))  # the slow filter would smear the edge of so fast a scan
    result = session.RE(knife_edge_scan(x, meter, 0.0, 2.4, 13, settle=0.05))
    assert result.plan_result.center == pytest.approx(1.2, abs=0.1)
    assert result.plan_result.radius == pytest.approx(0.5, rel=0.2)
    run = session.c[-1]
    data = run["primary"].read()
    assert len(data["x"]) == 13
    assert data["power_meter-power"][0] > 100 * data["power_meter-power"][-1]
    assert run["fit"].read()["center"].values == pytest.approx([result.plan_result.center])
    begin = run.metadata["start"]
    assert (begin["operator"], begin["sample"], begin["scan_id"]) == ("ada", "GaAs", 1)
    assert result.run_start_uids == (begin["uid"],)
    assert begin["rig"]["room"] == "cellar"
    assert begin["rig"]["profile_hash"].startswith("sha256:")
    assert {"rdaq_ophyd", "ophyd_async", "tiled"} <= set(begin["versions"])
    baseline = run["baseline"].read()
    assert {"x", "y", "calibration-pixel_size", "cam-exposure", "power_meter-power"} <= set(baseline)


def test_an_image_stack_is_read_back_whole(session):
    result = session.RE(image_stack(session.rig["cam"], session.rig["x"], 0.0, 0.5, 6, 0.002))
    assert result.exit_status == "success"
    primary = session.c[-1]["primary"]
    assert primary["cam"].read().shape == (6, 48, 64)
    assert len(primary.read()["x"]) == 6


def test_a_fly_stack_is_read_back_whole(session):
    result = session.RE(fly_stack(session.rig["cam"], 12, 0.002))
    assert result.exit_status == "success"
    assert session.c[-1]["primary"]["cam"].read().shape == (12, 48, 64)


def test_a_session_exports_its_last_run(session, tmp_path):
    (path,) = session.export(-1, tmp_path, to="csv", streams=["primary"])[:1]
    assert "cam-mean" in path.read_text().splitlines()[0]


def test_abort_stops_the_axis_on_the_wire_before_the_plans_own_clean_up(session, bench):
    x, RE = session.rig["x"], session.RE
    RE(enable(x))
    RE(bps.mv(x, 0))
    began = time.monotonic_ns()
    cleaned = []

    def clean_up():
        yield from bps.sleep(1)
        cleaned.append(time.monotonic_ns())

    join = when(lambda: position(x) < -0.2, lambda: RE.abort("test"))
    with pytest.raises(RunEngineInterrupted):
        RE(bpp.finalize_wrapper(bps.mv(x, -24), clean_up))
    join()
    first_stop = next(t for t in bench.arrivals("esp300", b"ST\r") if t > began)
    assert first_stop < cleaned[0]
    stopped = position(x)
    assert -24 < stopped < -0.2
    assert call_in_bluesky_event_loop(x.movable_logic.done.get_value())


def test_ctrl_c_stops_pauses_and_the_run_can_be_resumed(session):
    x, meter, RE = session.rig["x"], session.rig["power_meter"], session.RE
    RE(enable(x))
    RE(bps.mv(x, 0))
    join = when(lambda: position(x) > 0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(RunEngineInterrupted):
        RE(bp.scan([meter], x, 0, 20, 3))
    join()
    assert RE.state == "paused"
    assert position(x) < 20
    result = RE.resume()
    assert result.exit_status == "success"
    assert len(session.c[-1]["primary"].read()["x"]) == 3
    assert position(x) == pytest.approx(20, abs=0.01)
    RE(bps.mv(x, 0))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ending_the_process_stops_the_axes_first(session, bench, number):
    x = session.rig["x"]
    session.RE(enable(x))
    session.RE(bps.mv(x, 0))
    began = time.monotonic_ns()
    join = when(lambda: position(x) > 0.2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as end:
        session.run(bp.scan([session.rig["power_meter"]], x, 0, 20, 3))
    join()
    session.signals.ending = 0  # the tests go on in this process
    assert end.value.code == 128 + number
    assert any(t > began for t in bench.arrivals("esp300", b"ST\r"))
    assert position(x) < 20


def test_rdaq_run_told_to_end_closes_its_run(session, data_dir, tmp_path):
    """With instruments of its own, since a port has one owner, and with this session's Tiled."""
    with start_bench(fast=True, log_dir=tmp_path) as other:
        profile = tmp_path / "other.py"
        profile.write_text(simulated("other", other.ports))
        command = ["-m", "rdaq_ophyd.cli", "run", "knife_edge_scan", "--profile", str(profile), "--data", str(data_dir)]
        process = subprocess.Popen(
            [sys.executable, *command, "--stage", "x", "--num", "5000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        moving = threading.Event()
        join = when(lambda: other.arrivals("esp300", b"1PA"), moving.set)
        begun = moving.wait(30)
        process.terminate()
        _, errors = process.communicate(timeout=60)
        join()
        assert begun, errors
        assert other.arrivals("esp300", b"ST\r")
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "stopped everything" in errors
    assert "x: confirmed" in errors
    assert "Traceback" not in errors
    stop = session.c[-1].metadata["stop"]
    assert stop["exit_status"] == "abort"
    assert "SIGTERM" in stop["reason"]
    assert not latch.tripped  # the other rig's is its own


def test_stop_all_and_reset_by_the_session(session):
    x = session.rig["x"]
    report = session.stop_all("smoke")
    assert {v.device: v.outcome for v in report.verdicts}.items() >= {"x": "confirmed", "cam": "confirmed"}.items()
    assert report.by == "ada"
    with pytest.raises(StopLatched, match="by ada: smoke"):
        session.run(bps.mv(x, 1))
    with pytest.raises(RdaqError, match="needs a reason"):
        session.reset(" ")
    session.reset("it was steam")
    assert session.run(bps.mv(x, 0)).exit_status == "success"
    assert read_record(latch_path("test"))["reason"] == "reset: it was steam"


def test_without_a_person_an_interrupted_run_is_aborted(session):
    x = session.rig["x"]
    session.RE(enable(x))
    session.RE(bps.mv(x, 0))
    join = when(lambda: position(x) > 0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(RunEngineInterrupted):
        session.run(bp.scan([session.rig["power_meter"]], x, 0, 20, 3))
    join()
    assert session.RE.state == "idle"
    assert session.c[-1].metadata["stop"]["exit_status"] == "abort"


def test_bad_moves_are_refused_and_nothing_acquired_is_lost(session):
    x, meter, RE = session.rig["x"], session.rig["power_meter"], session.RE
    RE(enable(x))
    with pytest.raises(FailedStatus) as error:
        RE(bp.list_scan([meter], x, [0.0, 0.1, 99.0]))
    assert isinstance(error.value.__cause__, LimitError)
    assert "x: target 99 mm" in str(error.value.__cause__)
    run = session.c[-1]
    assert run.metadata["stop"]["exit_status"] == "fail"
    assert len(run["primary"].read()["x"]) == 2
    with pytest.raises(FailedStatus):
        RE(bps.mv(x, float("nan")))


def test_a_stack_that_does_not_fit_is_refused_before_its_run_begins(session, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    documents = []
    with pytest.raises(DataDirectoryError, match="100 frames need"):
        session.RE(image_stack(session.rig["cam"], session.rig["x"], 0.0, 0.5, 100), lambda n, d: documents.append(n))
    assert documents == []


def test_a_device_whose_link_is_closed_is_left_out_of_the_baseline(session, caplog):
    meter = session.rig["power_meter"]
    closed = meter.channel.link
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(closed), "is_open", property(lambda link: link is not closed))
        session.RE(bp.count([session.rig["cam"]]))
    assert "baseline without power_meter: its link is closed" in caplog.text
    assert "power_meter-power" not in session.c[-1]["baseline"].read()


def test_halting_while_the_loop_adds_statuses_never_raises(session):
    """The set of statuses changes under the signal handler's hands; the stops must be written all the same."""
    RE, over = session.RE, threading.Event()

    class Thing:
        pass

    def churn():
        while not over.is_set():
            RE._statuses.add(Thing())

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(300):
            RE._statuses.note_halt()
            RE._statuses.clear()
    finally:
        over.set()
        thread.join()


def test_plans_are_found_by_name(session):
    assert session.plan("knife_edge_scan") is knife_edge_scan
    assert session.plan("count") is bp.count
    with pytest.raises(UnknownName, match="did you mean knife_edge_scan"):
        session.plan("knife_edge_scam")
    names = session.namespace()
    assert {"RE", "x", "cam", "bp", "bps", "c", "positions", "knife_edge_scan"} <= set(names)


def test_an_unwritable_data_directory_is_refused_before_anything_starts(profile_path):
    with pytest.raises(DataDirectoryError, match="--data DIR"):
        start(str(profile_path), data_dir="/proc/nothing")


def test_a_plan_script_is_a_session_of_its_own_beside_another(session, profile_path, data_dir):
    """The second session uses the first one's Tiled, and continues its scan ids and metadata."""
    command = [sys.executable, "plans/image_stack.py", "--profile", str(profile_path), "--data", str(data_dir)]
    command += ["--start", "0", "--stop", "0.2", "--num", "3", "--exposure", "0.002"]
    # The port belongs to this session; the script's devices share nothing with it, so it is told the port is busy.
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode != 0
    assert "another process holds" in done.stderr


@pytest.mark.parametrize(("ending", "stopped"), [("", False), ("import os; os._exit(3)", True)])
def test_a_program_that_just_ends_has_not_died(session, data_dir, tmp_path, ending, stopped):
    """Without ``with`` and without ``close``; one that is torn away leaves the latch set by its watchdog."""
    (tmp_path / "rig.py").write_text(
        f"""
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig
rig = Rig("ends{int(stopped)}")

@rig.device
def cam(paths) -> SyntheticCamera:
    return SyntheticCamera(paths, width=8, height=8)
"""
    )
    code = f"from rdaq_ophyd.startup import start; s = start({str(tmp_path / 'rig.py')!r}); {ending}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RDAQ_DATA": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == (3 if stopped else 0), done.stderr
    assert "Traceback" not in done.stderr
    # The watchdog holds the other end of stderr: it has ended when that is closed.
    assert (read_record(latch_path(f"ends{int(stopped)}")) is not None) is stopped


# -- for a client, whose catalog is the same ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(session):
    session.RE(enable(session.rig["x"]))
    session.RE(bps.mv(session.rig["x"], 0))
    with Server(session) as made:
        yield made


@pytest.fixture
def client(server):
    with connect(server.address) as made:
        yield made


def test_what_a_client_hears_is_what_the_catalog_has(client, session):
    heard = []
    end = client.subscribe(lambda name, document: heard.append((name, document)))
    arguments = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}
    run = client.run("knife_edge_scan", **arguments)
    (uid,) = run.uids
    assert end.wait(uid)
    end()
    assert session.catalog.wait_drained(uid, timeout=60)
    catalog = client.catalog()
    found = catalog[uid]
    start, stop = heard[0][1], heard[-1][1]
    assert found.metadata["start"] == start
    assert found.metadata["stop"]["exit_status"] == stop["exit_status"] == "success"
    (descriptor,) = (d for n, d in heard if n == "descriptor" and d["name"] == "primary")
    events = [d["data"] for n, d in heard if n == "event" and d["descriptor"] == descriptor["uid"]]
    assert len(events) == 11
    table = found["primary"].read()
    for key in ("x", "power_meter-power"):
        np.testing.assert_array_equal(table[key].values, [event[key] for event in events])
    assert client.session.catalog_uri == session.catalog.uri
    catalog.context.close()


def test_an_address_that_is_none_of_tiled_is_said(client, unused_tcp_port):
    with pytest.raises(CatalogError, match="is it the address of Tiled's API"):
        client.catalog(f"http://127.0.0.1:{unused_tcp_port}/api/v1")
