"""Stop, devices, runs and scan plots in a real browser, with real instruments behind."""

from __future__ import annotations

import contextlib
import io
import logging
import time

import bluesky.plan_stubs as bps
import pytest
from benchmarks._browser import PROGRAM
from benchmarks._profile import simulated
from bluesky.plans import count
from held import held
from optics import no_tiled
from PIL import Image
from rigpage import (
    BACK,
    COLUMN,
    CRAWLING,
    RETAKE,
    STANDING,
    UNDER_WAY,
    at_pace,
    begin_scan,
    button,
    card,
    ended,
    kept_picture,
    row,
)
from viewed import cut, looked_at
from watched import wait

from rdaq_ophyd.errors import EngineBusy
from rdaq_ophyd.plans import enable
from rdaq_ophyd.sim import start_bench
from rdaq_ophyd.startup import start
from rdaq_ophyd.stop import latch, reset

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
CALIBRATION = """
rig.calibration.add("pixel_size", 3.45, units="um")
"""
LASER = """
from rdaq_ophyd.devices.maitai import MaiTai

@rig.device
def laser() -> MaiTai:
    return MaiTai({maitai!r})
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Of its own: a stop closes the laser's shutter, and when the session ends, the laser's watchdog switches it off.

    Whoever measures on that bench afterwards is in the dark.
    """
    with start_bench(fast=True, lift_baud=True, log_dir=tmp_path_factory.mktemp("bytes")) as process:
        yield process


@pytest.fixture(scope="module")
def session(bench, data_dir, tmp_path_factory, nothing_left_by_module):
    path = tmp_path_factory.mktemp("viewed") / "viewed.py"
    more = CALIBRATION + LASER.format(**bench.ports)
    path.write_text(simulated("test", bench.ports, md={"room": "cellar"}, more=more))
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(path), data_dir=data_dir) as made:
            made.RE(enable(made.rig["x"]))
            yield made


@pytest.fixture(scope="module")
def shared_tab(page):
    page.until("rdaq.devices.cards.length")
    return page


@pytest.fixture
def tab(shared_tab, session):
    if latch.tripped:
        reset("the next test begins", force=True)
    wait(lambda: not (session.RE.turns.plan or session.RE.turns.moving), "the one before is over")
    at_pace(session, 5.0)
    session.RE(bps.mv(session.rig["x"], 0))
    shared_tab.until("document.getElementById('latch').hidden && rdaq.runs.state.engine === 'idle'")
    yield shared_tab
    with contextlib.suppress(EngineBusy):
        shared_tab.run("rdaq.connection.ask('Abort', {reason: 'the test is over'}).catch(() => 0)")


@pytest.fixture
def meter(session):
    """The power meter reads when the test lets it: a scan is where it is however slow the machine."""
    with held(session, "power_meter") as gate:
        yield gate


# -- stop -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["click", "key"])
def test_stop_reaches_the_instruments_in_a_moving_scan_and_says_what_each_did(tab, bench, session, how):
    at_pace(session, CRAWLING)
    begin_scan(tab)
    tab.until(f"{UNDER_WAY} && {COLUMN}?.length")  # the first point; it is on its way to the second
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
    at_pace(session, CRAWLING)
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
    tab.run("(rdaq.fetch = fetch, fetch = () => Promise.reject(0), rdaq.stop.hurry = () => 0)")  # no other way
    tab.run("(rdaq.stop.wait = 3000, rdaq.stop.socket.close())")
    tab.until("!rdaq.stop.isOpen")
    tab.click("#stop")
    assert "NOT SENT" in tab.text("stop-said")
    assert not latch.tripped
    tab.until("rdaq.stop.isOpen && !document.getElementById('latch').hidden")  # it is sent then, if that is soon
    tab.run("void (fetch = rdaq.fetch, delete rdaq.stop.hurry)")


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


def test_the_worst_alarm_of_a_card_stands_in_its_head(tab):
    alarm = card(tab, "x", "alarm")
    tab.until(f"{row(tab, 'x')}.key && {alarm}.textContent === ''")
    # What the rig would say of a reading in alarm, and of an instrument that is silent.
    tab.run("""rdaq.asked = rdaq.connection.ask, rdaq.connection.ask = async (call, request) => {
        const reply = await rdaq.asked.call(rdaq.connection, call, request);
        if (call === 'Read' && request.names[0] === 'x') reply.readings.x.severity = 2;
        return reply;
    }""")
    tab.until(f"{alarm}.textContent", lambda text: text == "major alarm: position")
    assert tab.run(f"{alarm}.className") == "alarm severity-2"
    assert "(major alarm)" in tab.run(f"{row(tab, 'x')}.now.textContent")
    tab.run("""rdaq.connection.ask = async (call, request) => {
        if (call === 'Read' && request.names[0] === 'x') throw new Error('it does not answer');
        return rdaq.asked.call(rdaq.connection, call, request);
    }""")
    tab.until(f"{alarm}.textContent", lambda text: text == "invalid: position")
    assert tab.run(f"{alarm}.title") == "it does not answer"
    tab.run("rdaq.connection.ask = rdaq.asked")
    tab.until(f"{alarm}.textContent === ''")


def test_what_the_session_logs_is_shown_with_its_severity(tab):
    logger = logging.getLogger("rdaq_ophyd.test")
    logger.warning("the %s is warm", "chiller")
    logger.error("the chiller is hot")
    tab.until("document.getElementById('log').textContent", lambda text: "the chiller is hot" in text)
    lines = tab.run("[...document.querySelectorAll('#log li')].map((each) => [each.className, each.textContent])")
    found = [(kind, text.split(" ", 2)[2]) for kind, text in lines if "chiller" in text]
    assert found[0][0] == "bad"
    assert found[0][1].endswith("error rdaq_ophyd.test the chiller is hot")
    assert found[1][0] == "warn"
    assert found[1][1].endswith("warning rdaq_ophyd.test the chiller is warm")
    level = "document.getElementById('log-level')"
    shown = "[...document.querySelectorAll('#log li')].filter((each) => each.checkVisibility()).map((e) => e.className)"
    tab.run(f"({level}.value = 'bad', {level}.dispatchEvent(new Event('change')))")
    assert set(tab.run(shown)) == {"bad"}
    tab.run(f"({level}.value = 'info', {level}.dispatchEvent(new Event('change')))")
    assert "info" in tab.run(shown)


def test_an_axis_is_moved_stepped_stopped_and_its_limits_hold(tab, session, bench):
    x = row(tab, "x")
    # The page's own call has ended when its bar is gone. What is shown may be there before, the state of the rig later.
    over = f"{x}.progress.hidden"

    def arrived(where):
        tab.until(over)
        assert tab.run(f"{x}.error.textContent") == ""
        tab.until(f"{x}.now.textContent", lambda text: text == where)

    tab.run(f"({x}.target.value = '1.5', {button(tab, 'x', 'Move')}.click())")
    arrived("1.5 mm")
    tab.run(f"({x}.step.value = '0.5', {button(tab, 'x', '−')}.click())")
    arrived("1 mm")
    tab.run(f"({x}.target.value = '26', {button(tab, 'x', 'Move')}.click())")
    tab.until(f"{x}.error.textContent", lambda text: "26 is outside of -25 to 25 mm" in text)
    at_pace(session, CRAWLING)
    stops = len(bench.arrivals("esp300", b"1ST"))
    tab.run(f"({x}.target.value = '20', {button(tab, 'x', 'Move')}.click())")
    tab.until("rdaq.runs.state.moving.includes('x')")
    assert not tab.run(over)
    tab.run(f"{button(tab, 'x', 'Stop')}.click()")
    tab.until(f"{over} && rdaq.runs.state.moving.length === 0")
    wait(lambda: len(bench.arrivals("esp300", b"1ST")) > stops, "the stop is in the bench's log")


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


def test_a_wavelength_is_tuned(tab):
    wavelength = row(tab, "laser.wavelength")
    tab.until(f"{wavelength}.now.textContent", lambda text: text.endswith(" nm"))
    tab.run(f"({wavelength}.target.value = '820', {button(tab, 'laser.wavelength', 'Move')}.click())")
    tab.until(f"{wavelength}.progress.hidden && {wavelength}.now.textContent", lambda text: text == "820 nm")
    tab.run(f"({wavelength}.target.value = '5000', {button(tab, 'laser.wavelength', 'Move')}.click())")
    tab.until(f"{wavelength}.error.textContent", lambda text: "5000 is outside of" in text)


# -- runs -----------------------------------------------------------------------------------------------------


def test_a_scan_is_paused_resumed_plotted_and_listed(tab, meter):
    begin_scan(tab)
    meter.let(1 + 2)  # of the baseline, and of two points
    tab.until(f"{UNDER_WAY} && {COLUMN}?.length > 1")
    assert tab.text("plan") == "knife_edge_scan"
    tab.run("document.getElementById('pause').click()")
    tab.until("rdaq.runs.state.engine === 'paused'")
    assert tab.run("document.getElementById('pause').disabled && !document.getElementById('resume').disabled")
    meter.open()
    tab.run("document.getElementById('resume').click()")
    ended(tab, "success")
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


def test_a_run_is_aborted_with_a_reason(tab, meter):
    begin_scan(tab)
    tab.until(UNDER_WAY)
    tab.fill("#run-reason", "wrong sample")
    tab.run("document.getElementById('abort').click()")
    ended(tab, "abort")
    assert tab.run("document.querySelector('#recent .status').title") == "wrong sample"
    tab.until("rdaq.runs.state.engine === 'idle'")


def test_it_comes_back_by_itself_and_no_document_is_missing(tab, meter):
    begin_scan(tab)
    meter.let(1 + 2)  # of the baseline, and of two points
    tab.until(f"{UNDER_WAY} && {COLUMN}?.length > 1")
    tab.run(f"Promise.all([{cut('connection')}, {cut('stop')}])")
    meter.open()
    tab.until(BACK)
    assert "connected again after" in tab.text("log")
    assert "the connection to the rig broke" in tab.text("log")
    ended(tab, "success")
    column = tab.run(f"[...{COLUMN}]")
    assert None not in column
    assert len(column) == len(set(column)) == 11
    tab.until("rdaq.devices.cards.length === 6")


def test_what_a_cut_has_cost_is_a_gap_in_the_plot(tab):
    tab.run(f"(rdaq.documents.instance = 'of another server', Promise.all([{cut('connection')}, {cut('stop')}]))")
    tab.until(f"{BACK} && rdaq.documents.instance.length === 32")
    tab.until("document.getElementById('log').textContent", lambda text: "the rig was started anew" in text)
    tab.until(f"{COLUMN}.includes(null)")


def test_a_page_that_comes_late_shows_the_run_from_its_start(tab, browser, server, meter):
    begin_scan(tab)
    meter.let(1 + 2)  # of the baseline, and of two points
    tab.until(f"{UNDER_WAY} && {COLUMN}?.length > 1")
    tab.run("document.getElementById('pause').click()")
    tab.until("rdaq.runs.state.engine === 'paused'")
    meter.open()
    with looked_at(browser, server.page) as late:
        late.until(f"{COLUMN}?.length > 1")
        late.until("!document.getElementById('resume').disabled")
        late.run("document.getElementById('resume').click()")
        ended(late, "success")
        assert late.run(f"new Set({COLUMN}).size") == 11
    tab.ask("Page.bringToFront")


def test_the_pictures_in_the_docs_show_this_page(tab, session):
    session.RE(bps.mv(session.rig["x"], 0))
    begin_scan(tab, light={"text": "laser"})
    tab.run("rdaq.scan.done.then(() => 0)")
    tab.until("rdaq.runs.state.engine === 'idle'")
    session.RE(count([session.rig["cam"]], 3))
    tab.until("Number(document.getElementById('frame-number').textContent) >= 0")
    tab.run("document.getElementById('plan-panel').open = false")
    tab.run("(scrollTo(0, 0), rdaq.image.setView({auto: true, fit: true}))")
    tab.until("rdaq.image.frame.view.fit")
    standing = tab.run(STANDING)
    taken = tab.picture()
    assert Image.open(io.BytesIO(taken)).size == (found := kept_picture("view.png", taken, standing)).size
    assert found.text.get("page") == standing, RETAKE

    choice = "document.getElementById('plan-choice')"
    tab.run(
        f"(document.getElementById('plan-panel').open = true, {choice}.value = 'knife_edge_scan', rdaq.plans.choose())"
    )
    stage = "rdaq.plans.form[0].input"
    tab.run(f"({stage}.value = 'x', {stage}.dispatchEvent(new Event('change')), scrollTo(0, 0))")
    form = tab.run("rdaq.plans.form.map((each) => each.element.textContent).join('|')")
    box = tab.run("document.querySelector('#side section').getBoundingClientRect().toJSON()")
    taken = tab.picture(**{key: box[key] for key in ("x", "y", "width", "height")})
    found = kept_picture("view-plan.png", taken, form)
    assert found.text.get("page") == form, RETAKE
    tab.run("document.getElementById('plan-panel').open = false")
