"""Stop, devices, runs and scan plots in a real browser, with real instruments behind."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path

import bluesky.plan_stubs as bps
import pytest
from benchmarks._browser import PROGRAM, Browser
from bluesky.plans import count
from optics import no_tiled

from rdaq_ophyd.errors import EngineBusy
from rdaq_ophyd.plans import enable
from rdaq_ophyd.server import Access, Role, Server, Token
from rdaq_ophyd.startup import start
from rdaq_ophyd.stop import latch, reset

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
DOCS = Path(__file__).parents[2] / "docs" / "how-to"
LASER = """
from rdaq_ophyd.devices.maitai import MaiTai

@rig.device
def laser() -> MaiTai:
    return MaiTai({maitai!r})
"""
SECRETS = {role: f"{role}-".ljust(40, "x") for role in Role}


@pytest.fixture(scope="module")
def session(profile_path, bench, data_dir, tmp_path_factory, nothing_left_by_module):
    path = tmp_path_factory.mktemp("viewed") / "viewed.py"
    path.write_text(profile_path.read_text() + LASER.format(**bench.ports))
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(path), data_dir=data_dir) as made:
            made.RE(bps.mv(made.rig["x"].velocity, 5.0))
            made.RE(enable(made.rig["x"]))
            yield made


@pytest.fixture(scope="module")
def server(session):
    with Server(session, page=0) as made:
        yield made


@pytest.fixture(scope="module")
def browser(server):
    with Browser() as made:
        yield made


@pytest.fixture(scope="module")
def shared_tab(browser, server):
    tab = browser.open(server.page)
    tab.until("typeof rdaq !== 'undefined' && rdaq.devices.cards.length")
    yield tab
    assert tab.errors() == []


@pytest.fixture
def tab(shared_tab, session):
    if latch.tripped:
        reset("the next test begins", force=True)
    session.RE(bps.mv(session.rig["x"], 0))
    shared_tab.until("document.getElementById('latch').hidden && rdaq.runs.state.engine === 'idle'")
    yield shared_tab
    with contextlib.suppress(EngineBusy):
        shared_tab.run("rdaq.connection.ask('Abort', {reason: 'the test is over'}).catch(() => 0)")


def card(tab, device, find):
    """JavaScript for what is in a device's card."""
    del tab
    return f"rdaq.devices.cards.find((card) => card.device.name === {device!r}).{find}"


def row(tab, name):
    device = name.split(".")[0]
    return card(tab, device, f"rows.find((row) => row.name === {name!r})")


def button(tab, name, text):
    return f"[...{row(tab, name)}.element.querySelectorAll('button')].find((each) => each.textContent === {text!r})"


def begin_scan(tab, **arguments):
    """A knife edge scan, as another client begins it."""
    given = {"stage": {"text": "x"}, "power_meter": {"text": "power_meter"}, "start": {"number": 0}}
    given |= {"stop": {"number": 2.4}, "num": {"integer": "11"}} | arguments
    tab.run(f"void (rdaq.scan = rdaq.connection.begin('RunPlan', {{name: 'knife_edge_scan', arguments: {given}}}))")


# -- stop -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["click", "key"])
def test_stop_reaches_the_instruments_in_a_moving_scan_and_says_what_each_did(tab, bench, session, how):
    begin_scan(tab, settle={"number": 0.05})
    tab.until("rdaq.runs.state.engine === 'running' && rdaq.runs.state.run_uid")
    tab.run("document.getElementById('run-reason').focus()")  # the key works wherever the focus is
    called = time.monotonic_ns()
    if how == "click":
        tab.click("#stop")
    else:
        tab.key("Escape")
    tab.until("!document.getElementById('latch').hidden && document.querySelectorAll('#verdicts tr').length")
    assert any(at > called for at in bench.arrivals("esp300", b"ST\r"))
    verdicts = tab.run(
        "[...document.querySelectorAll('#verdicts tr')].map((row) => [...row.children].map((c) => c.textContent))"
    )
    assert {("x", "confirmed"), ("laser", "confirmed")} <= {tuple(each[:2]) for each in verdicts}
    tab.until("document.getElementById('stop-said').textContent", lambda said: "confirmed in" in said)
    assert "STOP in the browser" in tab.text("latch-why")
    assert "software stop" in tab.text("stop")
    tab.until("rdaq.runs.state.engine === 'idle'")
    assert tab.run("document.title").startswith("STOPPED")
    # Refused until the reset, which needs a reason and starts nothing.
    tab.run(f"({row(tab, 'x')}.target.value = '1', {button(tab, 'x', 'Move')}.click())")
    tab.until(f"{row(tab, 'x')}.error.textContent", lambda said: "STOP in the browser" in said)
    tab.fill("#reset-reason", "nobody was hurt")
    tab.click("#reset button")
    tab.until("document.getElementById('latch').hidden")
    assert not latch.tripped
    assert tab.run("rdaq.runs.state.engine") == "idle"


def test_a_stop_gets_through_while_a_page_asks_without_end(tab, bench, session):
    tab.run("""void (rdaq.asking = true, (async () => {
        const all = Array.from({length: 20}, async () => {
            while (rdaq.asking) await rdaq.connection.ask('Read', {names: ['x', 'x.velocity']}).catch(() => 0);
        });
        await Promise.all(all);
    })())""")
    tab.run(f"({row(tab, 'x')}.target.value = '20', {button(tab, 'x', 'Move')}.click())")
    tab.until("rdaq.runs.state.moving.includes('x')")
    called = time.monotonic_ns()
    tab.key("Escape")
    tab.until("document.getElementById('stop-said').textContent", lambda said: "confirmed in" in said)
    arrived = min(at for at in bench.arrivals("esp300", b"ST\r") if at > called)
    tab.run("rdaq.asking = false")
    assert (arrived - called) / 1e9 < 10.0  # far less on a quiet machine
    assert session.rig.failures == {}


def test_without_a_connection_stop_says_that_it_was_not_sent(tab):
    tab.run("(rdaq.stop.wait = 3000, rdaq.stop.socket.close())")
    tab.until("!rdaq.stop.isOpen")
    tab.click("#stop")
    assert "NOT SENT" in tab.text("stop-said")
    assert not latch.tripped
    tab.until("rdaq.stop.isOpen")  # it is sent when the connection is back, if that is soon
    tab.until("!document.getElementById('latch').hidden")
    assert latch.tripped


# -- devices --------------------------------------------------------------------------------------------------


def test_cards_are_made_from_what_the_devices_can(tab):
    names = tab.run("rdaq.devices.cards.map((card) => card.device.name)")
    assert names == ["stage", "x", "y", "power_meter", "cam", "laser"]
    assert tab.run(f"{row(tab, 'x')}.constructor.name") == "MoveRow"
    assert "-25 to 25 mm" in tab.run(f"{row(tab, 'x')}.element.textContent")
    assert (
        tab.run(f"[{row(tab, 'laser.shutter')}, {row(tab, 'laser.emission')}].map((r) => r.constructor.name)")
        == ["SwitchRow"] * 2
    )
    assert tab.run(f"{row(tab, 'laser.wavelength')}.units") == "nm"
    tab.until(f"{row(tab, 'x')}.now.textContent", lambda text: text.endswith("mm"))
    tab.until(card(tab, "stage", "state.textContent"), lambda text: text == "connected")
    assert (
        tab.run(
            "[...document.querySelectorAll('input, select, button')]"
            ".filter((each) => !(each.labels?.length || each.ariaLabel || each.textContent.trim())).length"
        )
        == 0
    )


def test_an_axis_is_moved_stepped_stopped_and_its_limits_hold(tab, session, bench):
    tab.run(f"({row(tab, 'x')}.target.value = '1.5', {button(tab, 'x', 'Move')}.click())")
    tab.until(f"{row(tab, 'x')}.now.textContent", lambda text: text == "1.5 mm")
    tab.until("rdaq.runs.state.moving.length === 0")
    tab.run(f"({row(tab, 'x')}.step.value = '0.5', {button(tab, 'x', '−')}.click())")
    tab.until(f"{row(tab, 'x')}.now.textContent", lambda text: text == "1 mm")
    tab.until("rdaq.runs.state.moving.length === 0")
    tab.run(f"({row(tab, 'x')}.target.value = '26', {button(tab, 'x', 'Move')}.click())")
    tab.until(f"{row(tab, 'x')}.error.textContent", lambda text: "26 is outside of -25 to 25 mm" in text)
    stops = len(bench.arrivals("esp300", b"1ST"))
    tab.run(f"({row(tab, 'x')}.target.value = '20', {button(tab, 'x', 'Move')}.click())")
    tab.until("rdaq.runs.state.moving.includes('x')")
    tab.run(f"{button(tab, 'x', 'Stop')}.click()")
    tab.until("rdaq.runs.state.moving.length === 0")
    assert len(bench.arrivals("esp300", b"1ST")) > stops


def test_signals_are_set_with_what_they_take(tab, session):
    tab.run(f"({card(tab, 'x', 'element.querySelector("details.others")')}.open = true)")
    velocity = card(tab, "x", "others.rows.find((row) => row.name === 'x.velocity')")
    tab.until(card(tab, "x", "others !== undefined"))
    tab.until(f"{velocity}.now.textContent", lambda text: text == "5 mm/s")
    tab.run(f"({velocity}.field.value = '4', {velocity}.element.querySelector('button').click())")
    tab.until(f"{velocity}.now.textContent", lambda text: text == "4 mm/s")
    tab.run(f"({velocity}.field.value = '', {velocity}.element.querySelector('button').click())")
    tab.until(f"{velocity}.error.textContent", lambda text: "nothing is no number" in text)
    tab.run(f"({velocity}.field.value = '5', {velocity}.element.querySelector('button').click())")
    tab.until(f"{velocity}.now.textContent", lambda text: text == "5 mm/s")


def test_light_takes_two_deliberate_steps_and_dark_takes_one(tab):
    emission, armed = row(tab, "laser.emission"), row(tab, "laser.armed")
    tab.run(f"{button(tab, 'laser.emission', 'Off')}.click()")
    tab.until(f"{emission}.now.textContent", lambda text: text == "off")
    tab.run(f"{button(tab, 'laser.emission', 'Emit')}.click()")
    tab.until(f"{emission}.error.textContent", lambda text: "arm" in text)
    tab.run(f"{button(tab, 'laser.armed', 'Arm')}.click()")
    tab.until(f"{armed}.now.textContent", lambda text: text == "armed")
    tab.run(f"{button(tab, 'laser.emission', 'Emit')}.click()")
    tab.until(f"{emission}.now.textContent", lambda text: text == "on")
    tab.run(f"{button(tab, 'laser.shutter', 'Open')}.click()")
    tab.until(f"{row(tab, 'laser.shutter')}.now.classList.contains('lit')")
    tab.run(f"{button(tab, 'laser.shutter', 'Close')}.click()")
    tab.until(f"{row(tab, 'laser.shutter')}.now.textContent", lambda text: text == "closed")


# -- runs -----------------------------------------------------------------------------------------------------


def test_a_scan_is_paused_resumed_plotted_and_listed(tab):
    begin_scan(tab, settle={"number": 0.05})
    tab.until("rdaq.runs.state.engine === 'running' && rdaq.scans.streams.get('primary')?.columns.x.length > 1")
    assert tab.text("plan") == "knife_edge_scan"
    tab.run("document.getElementById('pause').click()")
    tab.until("rdaq.runs.state.engine === 'paused'")
    assert tab.run("document.getElementById('pause').disabled && !document.getElementById('resume').disabled")
    tab.run("document.getElementById('resume').click()")
    tab.until("document.querySelector('#recent .status').textContent", lambda text: text == "success")
    columns = tab.run("(({x, 'power_meter-power': power}) => ({x, power}))(rdaq.scans.streams.get('primary').columns)")
    assert len(columns["x"]) >= 11
    assert columns["x"][-1] == pytest.approx(2.4, abs=1e-3)
    assert tab.run("rdaq.scans.plot.x.label") == "x (mm)"
    assert "(W)" in tab.run("rdaq.scans.plot.y.label")
    assert tab.run("rdaq.scans.plot.traces.length") >= 1
    box = tab.run(
        "((plot) => (plot.scrollIntoView({block: 'center'}), plot.getBoundingClientRect().toJSON()))"
        "(document.getElementById('scan-plot'))"
    )
    tab.mouse("mouseMoved", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.until("document.getElementById('scan-said').textContent", lambda text: " at " in text)


def test_a_run_is_aborted_with_a_reason(tab):
    begin_scan(tab, settle={"number": 0.05})
    tab.until("rdaq.runs.state.engine === 'running' && rdaq.runs.state.run_uid")
    tab.fill("#run-reason", "wrong sample")
    tab.run("document.getElementById('abort').click()")
    tab.until("document.querySelector('#recent .status').textContent", lambda text: text == "abort")
    assert tab.run("document.querySelector('#recent .status').title") == "wrong sample"
    tab.until("rdaq.runs.state.engine === 'idle'")


def test_it_comes_back_by_itself_and_says_what_it_missed(tab):
    tab.run("(rdaq.connection.socket.close(), rdaq.stop.socket.close())")
    tab.until("document.getElementById('connection').textContent", lambda text: text.startswith("no connection"))
    tab.until("document.getElementById('connection').textContent === 'connected' && rdaq.stop.isOpen")
    tab.until("document.getElementById('log').textContent", lambda text: "was not seen here" in text)
    tab.until("rdaq.scans.stream.columns.x.includes(null)")  # a gap in the plot
    tab.until("rdaq.devices.cards.length === 6")


def test_the_picture_in_the_docs_shows_this_page(tab, session):
    """With ``RDAQ_SCREENSHOTS=docs/how-to`` it is taken anew."""
    session.RE(bps.mv(session.rig["x"], 0))
    begin_scan(tab, light={"text": "laser"})
    tab.until("rdaq.runs.state.engine === 'running'")
    tab.until("rdaq.runs.state.engine === 'idle'")
    session.RE(count([session.rig["cam"]], 3))
    tab.until("Number(document.getElementById('frame-number').textContent) >= 0")
    tab.run("(scrollTo(0, 0), rdaq.image.setView({auto: true, fit: true}))")
    width, height = struct.unpack(">II", tab.picture()[16:24])
    kept = DOCS / "view.png"
    if folder := os.environ.get("RDAQ_SCREENSHOTS"):
        kept = Path(folder) / kept.name
        tab.until("rdaq.image.frame.view.fit")
        kept.write_bytes(tab.picture())
    assert struct.unpack(">II", kept.read_bytes()[16:24]) == (width, height)


# -- who may ---------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_once_and_an_observer_can_stop_but_not_move(browser, session, bench):
    tokens = [Token("alice", Role.OPERATE, SECRETS["operate"]), Token("screen", Role.OBSERVE, SECRETS["observe"])]
    with Server(session, Access(tokens=tokens), page=0) as server:
        tab = browser.open(server.page)
        tab.until("document.getElementById('login').open")
        tab.fill("#token", "wrong")
        tab.run("document.querySelector('#login button').click()")
        tab.until("document.getElementById('login-said').textContent", lambda text: "not known" in text)
        tab.fill("#token", SECRETS["observe"])
        tab.run("document.querySelector('#login button').click()")
        tab.until("typeof rdaq !== 'undefined' && rdaq.devices.cards.length && rdaq.connection.role === 'observe'")
        assert tab.run("document.cookie") == ""
        assert all(SECRETS["observe"] not in url for url in tab.requests())
        tab.until(f"{row(tab, 'x')}.go.disabled")
        refused = tab.run("rdaq.connection.begin('Move', {name: 'x', target: 1}).done.catch((error) => error.kind)")
        assert refused == "NotAllowed"
        tab.run("(window.stale = true, void location.reload())")
        tab.until("!window.stale && typeof rdaq !== 'undefined' && rdaq.stop.isOpen")  # the browser is known
        tab.key("Escape")
        tab.until("!document.getElementById('latch').hidden")
        assert latch.tripped
        tab.leave()
    reset("the test is over", force=True)
