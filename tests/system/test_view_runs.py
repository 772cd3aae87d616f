"""What the page says of runs: of one scan and the next, of runs that are over, of plans that cannot begin."""

from __future__ import annotations

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from benchmarks._browser import PROGRAM
from bluesky import RunEngineInterrupted
from viewed import camera_rig

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with camera_rig(tmp_path_factory.mktemp("frames"), 64, 48) as made:
        yield made


@pytest.fixture(scope="module")
def tab(page):
    page.until("rdaq.plans.plans.size && document.getElementById('recent-said').textContent")
    return page


# -- one scan and the next ------------------------------------------------------------------------------------

BEGIN = "take('start', {uid: %r, time: 0, scan_id: 3, plan_name: 'a', hints: {dimensions: [[['x'], 'primary']]}})"
COLUMNS = "data_keys: {x: number, p: number, q: number}, hints: {p: {fields: ['p']}}"
PLOTTED = "[...document.querySelectorAll('#scan-y input:checked')].map((box) => box.value)"


def scanned(tab, *steps):
    """Let documents come."""
    number = "const number = {dtype: 'number', shape: [], units: 'W'}"
    tab.run(f"((take) => {{ {number}; {'; '.join(steps)} }})((name, document) => rdaq.scans.take(name, document))")


def described(uid, name):
    return f"take('descriptor', {{uid: {uid!r}, name: {name!r}, {COLUMNS}}})"


def point(uid, number):
    data = f"{{x: {number}, p: 1, q: 2}}"
    return f"take('event', {{descriptor: {uid!r}, seq_num: {number}, time: {number}, data: {data}}})"


def test_nothing_of_one_scan_stands_under_the_name_of_the_next(tab):
    scanned(tab, BEGIN % "one", described("d", "primary"), point("d", 1))
    assert tab.run(PLOTTED) == ["p"]
    scanned(tab, BEGIN % "two")
    assert tab.run("[rdaq.scans.plot.traces.length, document.getElementById('scan-x').options.length]") == [0, 0]
    assert tab.run(PLOTTED) == []


def test_what_is_read_around_a_run_is_plotted_only_when_it_is_wanted(tab):
    scanned(tab, BEGIN % "one", described("b", "baseline"), point("b", 1))
    assert tab.run(PLOTTED) == []
    scanned(tab, described("d", "primary"), point("d", 1))
    assert tab.run("document.getElementById('scan-stream').value") == "primary"
    assert tab.run(PLOTTED) == ["p"]


def test_a_choice_and_the_points_stay_while_further_streams_come(tab):
    scanned(tab, BEGIN % "one", described("d", "primary"), point("d", 1))
    tab.click("#scan-y input[value=q]")
    assert tab.run(PLOTTED) == ["p", "q"]
    scanned(tab, described("m", "monitor"), described("e", "primary"), point("e", 2))
    assert tab.run(PLOTTED) == ["p", "q"]
    assert tab.run("rdaq.scans.stream.columns.x") == [1, 2]
    assert tab.run("document.getElementById('scan-stream').options.length") == 2


# -- runs that are over ---------------------------------------------------------------------------------------

CATALOG = """(rdaq.answers = %s, rdaq.fetch = window.fetch, void (window.fetch = async (where) => {
    const metadata = {selected: {uid: 'late', scan_id: 8, plan_name: 'count', time: 8, exit_status: 'success'}};
    const said = where === 'whoami' ? {catalog: rdaq.answers.shift()} : {data: [{attributes: {metadata}}]};
    return {ok: true, json: async () => said};
}))"""
ITEMS = "[...document.querySelectorAll('#recent li')].map((each) => each.querySelector('.status').textContent)"


def test_a_catalog_that_is_not_up_yet_is_asked_again(tab):
    tab.run(CATALOG % "[false, true]")
    tab.run("rdaq.recent.load()")
    assert "the catalog is not up" in tab.text("recent-said")
    tab.until(ITEMS, lambda found: found == ["success"])
    assert tab.text("recent-said") == ""
    tab.run("(window.fetch = rdaq.fetch, rdaq.recent.items.clear())")
    tab.run("document.getElementById('recent').replaceChildren()")


def test_what_is_no_run_is_not_listed_and_hides_none(tab):
    """Such as the container of ``rdaq catalog check``, of which Tiled selects nothing."""
    none = "{uid: null, scan_id: null, plan_name: null, time: null, exit_status: null, reason: null}"
    found = f"[{{attributes: {{metadata: {{selected: {none}}}}}}}, {{attributes"
    tab.run(CATALOG.replace("[{attributes", found) % "[true]")
    tab.run("rdaq.recent.load()")
    assert tab.text("recent-said") == ""
    assert tab.run(ITEMS) == ["success"]
    tab.run("(window.fetch = rdaq.fetch, rdaq.recent.items.clear())")
    tab.run("document.getElementById('recent').replaceChildren()")


def test_after_a_restart_no_run_of_before_is_under_way(tab):
    for uid in ("over", "cut"):
        tab.run(f"rdaq.documents.onDocument('start', {{uid: {uid!r}, scan_id: 1, plan_name: 'count', time: 1}})")
        if uid == "over":
            tab.run("rdaq.documents.onDocument('stop', {run_start: 'over', exit_status: 'abort', reason: 'enough'})")
    assert sorted(tab.run(ITEMS)) == ["abort", "running"]
    tab.run("rdaq.documents.begun({'rdaq-instance': 'another one', 'rdaq-position': '0', 'rdaq-lost': '0'})")
    assert sorted(tab.run(ITEMS)) == ["abort", "not ended"]


# -- a pause --------------------------------------------------------------------------------------------------

REFUSING = """(rdaq.asked = [], rdaq.rig = rdaq.runs.connection, void (rdaq.runs.connection = {
    role: 'operate',
    ask: async (call, request) => {
        rdaq.asked.push(request.accept_changes ?? "");
        const about = {what: 'not resumed: laser.shutter is open',
            hint: "put it back, or RE.resume(accept_changes='why')", about: "accept_changes"};
        if (!request.accept_changes) throw Object.assign(new Error('not resumed'), about);
    },
}))"""


def test_a_reason_accepts_what_changed_in_a_pause_only_after_it_was_told(tab):
    tab.run(REFUSING)
    tab.run("rdaq.runs.show({...rdaq.runs.state, engine: 'paused'})")
    tab.fill("#run-reason", "typed for something else")
    tab.run("document.getElementById('resume').click()")
    tab.until("document.getElementById('run-error').textContent", lambda text: "laser.shutter is open → put it" in text)
    assert "RE.resume" not in tab.text("run-error")
    tab.run("document.getElementById('resume').click()")
    tab.until("document.getElementById('run-error').textContent === ''")
    assert tab.run("rdaq.asked") == ["", "typed for something else"]
    tab.run("['running', 'paused'].forEach((engine) => rdaq.runs.show({...rdaq.runs.state, engine}))")
    tab.fill("#run-reason", "of the pause before")
    tab.run("document.getElementById('resume').click()")
    tab.until("rdaq.asked.length === 3")
    assert tab.run("rdaq.asked[2]") == ""
    tab.run("(rdaq.runs.connection = rdaq.rig, rdaq.runs.show({...rdaq.runs.state, engine: 'idle'}))")


def test_a_reason_accepts_nothing_that_changed_after_it_was_told(tab, session, monkeypatch):
    changed = ["shutter was True when the plan paused and is False now"]

    async def changes():
        return list(changed)

    monkeypatch.setattr(session.RE._held, "changes", changes)
    with pytest.raises(RunEngineInterrupted):
        session.RE(bpp.run_wrapper(bps.pause()))
    said = "document.getElementById('run-error').textContent"
    tab.until("!document.getElementById('resume').disabled")
    tab.run("document.getElementById('resume').click()")
    tab.until(said, lambda text: "not resumed: shutter was True" in text)
    changed.append("laser was False when the plan paused and is True now")
    tab.fill("#run-reason", "the shutter may be closed")
    tab.run("document.getElementById('resume').click()")
    tab.until(said, lambda text: "laser was False" in text)
    assert session.RE.state == "paused"
    tab.run("document.getElementById('resume').click()")
    tab.until("rdaq.runs.state.engine === 'idle'")
    assert tab.text("run-error") == ""
    assert tab.run("document.getElementById('run-reason').value") == ""


# -- plans that cannot begin ----------------------------------------------------------------------------------


def test_while_something_is_moved_by_hand_no_plan_is_begun_and_it_is_said(tab):
    choice = "document.getElementById('plan-choice')"
    tab.run(f"({choice}.value = 'fly_stack', {choice}.onchange())")
    assert not tab.run("document.getElementById('plan-start').disabled")
    tab.run("rdaq.plans.allow({...rdaq.runs.state, engine: 'idle', moving: ['x', 'laser.wavelength']})")
    assert tab.run("document.getElementById('plan-start').disabled")
    assert tab.text("plan-why") == "moved by hand: x, laser.wavelength"
    tab.run("rdaq.plans.allow({...rdaq.runs.state, engine: 'idle', moving: []})")
    assert not tab.run("document.getElementById('plan-start').disabled")


def test_how_a_plan_ended_stands_until_another_one_is_chosen(tab):
    choice, said = "document.getElementById('plan-choice')", "document.getElementById('plan-said')"
    tab.run(f"({choice}.value = 'fly_stack', {choice}.onchange(), {said}.textContent = 'abort: it was too bright')")
    tab.run("rdaq.plans.load()")  # as after a cut
    assert tab.text("plan-said") == "abort: it was too bright"
    tab.run(f"({choice}.value = 'count', {choice}.onchange())")
    assert tab.text("plan-said") == ""
