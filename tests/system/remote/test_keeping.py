"""What the shell can, from elsewhere: metadata, positions, calibrations, suspenders, homing, counting, moves."""

from __future__ import annotations

import io
import json
import threading
from contextlib import redirect_stderr

import pytest

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import RunFailed, aconnect, connect
from rdaq_ophyd.errors import EngineBusy, LimitError, NotAllowed, RdaqError, UnknownName
from rdaq_ophyd.progress import POINTS
from rdaq_ophyd.server import Access, Role, Server, Token

EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}


def test_metadata_go_into_every_start_document(client, session):
    starts = []
    end = client.subscribe(lambda name, document: starts.append(document) if name == "start" else None)
    client.set_metadata("sample", {"name": "GaAs", "thickness": 0.35})
    assert client.session.metadata["sample"] == {"name": "GaAs", "thickness": 0.35}
    client.count("power_meter")
    client.forget_metadata("sample")
    client.count("power_meter")
    end()
    assert starts[0]["sample"]["thickness"] == 0.35
    assert "sample" not in starts[1]
    assert client.session.operator == starts[0]["operator"] == "ada"
    for refused, error, said in (
        (lambda: client.set_metadata("rig", "mine"), LimitError, "the session's own"),
        (lambda: client.set_metadata("a.b", 1), LimitError, "without dots"),
        (lambda: client.set_metadata("uid", "abc"), LimitError, "the RunEngine's own"),
        (lambda: client.set_metadata("submitted_by", "bob"), LimitError, "the session's own"),
        (lambda: client.set_metadata("hints", "x"), LimitError, "is not of type 'object'"),
        (lambda: client.set_metadata("x", 10**30), LimitError, "cannot be kept"),
        (lambda: client.set_metadata("x", nested(400)), LimitError, "cannot be kept"),
        (lambda: client.set_metadata("x", float("nan")), ValueError, "JSON"),
        (lambda: client.forget_metadata("sampl"), UnknownName, "unknown metadata 'sampl'"),
    ):
        with pytest.raises(error, match=said):
            refused()


def test_positions_are_saved_and_restored(client):
    client.move({"x": 1.0, "y": 0.5})
    client.save_position("focus", "x", "y")
    client.put_position("far", {"x": 2.0})
    client.move({"x": -0.5}, relative=True)
    places = client.where("x", "y")
    assert (places["x"].readback, places["y"].setpoint) == pytest.approx((0.5, 0.5), abs=1e-3)
    client.restore_position("focus")
    assert client.devices.x.locate().readback == pytest.approx(1.0, abs=1e-3)
    assert client.session.positions["focus"] == pytest.approx({"x": 1.0, "y": 0.5}, abs=1e-3)
    client.save_position("all")
    assert client.session.positions["all"].keys() == {"x", "y"}
    for name in ("focus", "far", "all"):
        client.forget_position(name)
    assert client.session.positions == {}
    with pytest.raises(UnknownName, match="focus"):
        client.forget_position("focus")
    with pytest.raises(RunFailed, match="unknown position"):
        client.restore_position("nowhere")
    for axes, said in (({"x": float("nan")}, "not a finite position"), ({"xx": 1.0}, "unknown device 'xx'")):
        with pytest.raises((LimitError, UnknownName), match=said):
            client.put_position("bad", axes)
    with pytest.raises(RunFailed, match="2 targets|1 targets"):
        client.run("move", axes=["x", "y"], targets=[1.0])


def test_calibrations_are_set_with_their_reason_and_taken_back(client):
    assert client.read("calibration")["calibration-pixel_size"]["value"] == 3.45
    client.set_calibration("pixel_size", 3.5, "measured with a grid")
    assert client.devices is not None
    assert client.read("calibration.pixel_size")["calibration-pixel_size"]["value"] == 3.5
    client.undo_calibration("pixel_size", "the grid was another")
    assert client.read("calibration.pixel_size")["calibration-pixel_size"]["value"] == 3.45
    first, last = client.session.calibrations[-2:]
    assert (first.value, first.why, first.undone) == (3.5, "measured with a grid", False)
    assert (last.value, last.why, last.by, last.undone) == (3.45, "the grid was another", "local", True)
    assert last.timestamp >= first.timestamp > 1e9
    with pytest.raises(RdaqError, match="no reason"):
        client.undo_calibration("pixel_size", " ")
    with pytest.raises(RdaqError, match="nothing to take back"):
        client.undo_calibration("pixel_size", "again")


def test_plans_wait_for_a_condition(client, session):
    client.suspend("power_below", "power_meter.power", floor=-1.0, settle=0.1)
    (suspender,) = client.session.suspenders
    assert (suspender.signal, suspender.suspended) == ("power_meter-power", False)
    assert len(session.RE.suspenders) == 1
    assert client.count("power_meter").exit_status == "success"
    client.remove_suspender(suspender.id)
    assert client.session.suspenders == []
    for arguments, numbers, error, said in (
        (("power_belo", "power_meter.power"), {}, UnknownName, "did you mean power_below"),
        (("power_below", "power_meter.power"), {}, LimitError, "without floor"),
        (("power_below", "power_meter"), {"floor": 0.0}, LimitError, "no signal"),
        (("power_below", "power_meter.power"), {"floor": float("nan")}, LimitError, "finite"),
        (("power_below", "power_meter.power"), {"floor": 0.0, "flor": 1.0}, LimitError, "flor"),
    ):
        with pytest.raises(error, match=said):
            client.suspend(*arguments, **numbers)
    with pytest.raises(UnknownName, match="suspender"):
        client.remove_suspender("that one")


def test_a_suspended_plan_is_seen(client, until):
    client.suspend("power_below", "power_meter.power", floor=1e9)
    run = client.begin("knife_edge_scan", **EDGE)
    until(lambda: any(each.suspended for each in client.session.suspenders))
    (suspender,) = client.session.suspenders
    assert "power" in suspender.why
    client.remove_suspender(suspender.id)
    client.abort("it is dark")
    with pytest.raises(RunFailed):
        run.wait()


def test_an_axis_is_homed_and_a_detector_triggered(client, bench):
    sent = len(bench.arrivals("esp300", b"1OR"))
    assert client.devices.x.home.trigger(timeout=60) == {}
    assert len(bench.arrivals("esp300", b"1OR")) > sent
    assert client.devices.power_meter.trigger()["power_meter-power"]["value"] is not None
    for name, said in (("cam", "belong to a run"), ("x", "cannot be triggered")):
        with pytest.raises(LimitError, match=said):
            client.devices[name].trigger()
    with pytest.raises(LimitError, match="timeout nan"):
        client.devices.power_meter.trigger(timeout=float("nan"))
    run = client.begin("knife_edge_scan", settle=0.05, **EDGE)
    next(iter(run))  # its run is open
    client.pause()
    with pytest.raises(EngineBusy):
        client.devices.x.home.trigger()
    client.abort()
    with pytest.raises(RunFailed):
        run.wait()


def test_what_is_no_axis_is_not_located(client):
    for name in ("power_meter", "x.velocity"):
        with pytest.raises(LimitError, match="cannot be located"):
            client.where(name)


def test_detectors_are_counted(client):
    run = client.count(num=2)
    assert run.exit_status == "success"
    assert run.progress[POINTS].target == 2


def test_a_device_is_tried_again(client, session):
    client.reconnect("power_meter")
    client.devices.x.reconnect()
    assert client.devices.x.velocity.get() == 5.0
    with pytest.raises(UnknownName, match="did you mean power_meter"):
        client.reconnect("power_metr")


def test_progress_is_told_and_shown(client):
    shown = io.StringIO()
    with redirect_stderr(shown):
        run = client.run("knife_edge_scan", progress=True, settle=0.02, **EDGE)
    assert (run.progress[POINTS].current, run.progress[POINTS].done) == (11, True)
    assert run.progress["x"].units == "mm"
    assert "points: 100%" in shown.getvalue()
    assert "11/11" in shown.getvalue()


def test_the_catalog_is_on_the_servers_machine(client, monkeypatch):
    assert client.session.catalog_uri == ""  # this session has none
    from rdaq_ophyd.client import _catalog

    monkeypatch.setattr(_catalog, "this_host", lambda: "another machine")
    with pytest.raises(NotAllowed, match="ssh -L 8000"):
        client.catalog()


def test_who_may_observe_sees_the_session_and_changes_nothing(session):
    tokens = [Token("bob", Role.OBSERVE, "b" * 40)]
    with Server(session, Access(tokens=tokens)) as server, connect(server.address, token="b" * 40) as bob:
        assert bob.session.rig == "test"
        assert set(bob.where()) == {"x", "y"}
        for refused in (
            bob.catalog,
            lambda: bob.set_metadata("sample", "mine"),
            lambda: bob.reconnect("x"),
            lambda: bob.devices.x.home.trigger(),
            lambda: bob.count("power_meter"),
        ):
            with pytest.raises(NotAllowed, match="bob may observe"):
                refused()


def test_changes_are_in_the_audit_log(client, session):
    client.set_metadata("sample", "razor")
    last = json.loads((session.settings.data_dir / "session" / "audit.log").read_text().splitlines()[-1])
    assert (last["who"], last["call"]) == ("local", "ChangeSession")
    assert "razor" in last["what"]


async def test_the_same_in_async_code(server, home):
    async with await aconnect(server.address) as client:
        await client.set_metadata("sample", "GaAs")
        assert (await client.session).metadata["sample"] == "GaAs"
        await client.forget_metadata("sample")
        await client.move({"x": 0.5})
        await client.save_position("here", "x")
        await client.put_position("there", {"x": 0.0})
        await client.restore_position("there")
        assert (await client.devices.x.locate()).readback == pytest.approx(0, abs=1e-3)
        for name in ("here", "there"):
            await client.forget_position(name)
        await client.set_calibration("pixel_size", 3.5, "a grid")
        await client.undo_calibration("pixel_size", "another")
        await client.suspend("link_lost", "stage.connection.state")
        (suspender,) = (await client.session).suspenders
        await client.remove_suspender(suspender.id)
        run = await client.count("power_meter", num=2)
        assert run.progress[POINTS].current == 2
        assert await client.devices.power_meter.trigger()
        await client.reconnect("y")
        await client.devices.x.reconnect()
        assert await client.devices.x.velocity.get() == 5.0


def test_the_command_line_shows_the_points(server, client, capsys, monkeypatch):
    words = ["--stage", "x", "--start", "0", "--stop", "2.4", "--num", "11"]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["run", "knife_edge_scan", "--host", server.address, *words]) == 0
    assert "points: 100%" in capsys.readouterr().err


def test_two_clients_hear_of_one_plan(server, client):
    """Progress is conflated for each listener, and nobody waits for another."""
    run = client.begin("knife_edge_scan", settle=0.02, **EDGE)
    events = []
    with connect(server.address) as other:
        from rdaq_ophyd.client._course import RunCourse
        from rdaq_ophyd.client._streams import LastingStream
        from rdaq_ophyd.wire import messages

        course = RunCourse(messages.RunPlanRequest(name="the same"))
        course._id, course.call = run.stream._course._id, "FollowPlan"
        follower = threading.Thread(target=lambda: events.extend(LastingStream(other._calls, course)))
        follower.start()
        run.wait()
        follower.join(20)
    What = messages.RunEvent.What
    assert [e.what for e in events if e.what != What.PROGRESS] == [What.BEGUN, What.RUN, What.ENDED]


def nested(depth):
    return [nested(depth - 1)] if depth else 0


def test_who_began_a_run_is_not_for_the_client_to_say(client, tmp_path):
    script = tmp_path / "scan.py"
    script.write_text("def plan():\n    yield\n")
    for key in ("submitted_by", "operator", "rig", "versions", "plan_name", "uid"):
        with pytest.raises(LimitError, match=f"metadata '{key}'"):
            client.run("count", {key: "eve"})
        with pytest.raises(LimitError, match=f"metadata '{key}'"):
            client.run_script(script, md={key: "eve"})
