"""Plans started from the page: a form made from what a plan says of itself, checked there and here."""

from __future__ import annotations

import contextlib

import bluesky.plan_stubs as bps
import pytest
from benchmarks._browser import PROGRAM
from held import held
from optics import no_tiled
from viewed import cut, opened
from watched import wait

from rdaq_ophyd.errors import EngineBusy
from rdaq_ophyd.plans import enable
from rdaq_ophyd.server import Access, Role, Server, Token
from rdaq_ophyd.startup import start
from rdaq_ophyd.stop import latch, reset

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
IDLE = "document.getElementById('latch').hidden && rdaq.runs.state.engine === 'idle'"
LOADED = "typeof rdaq !== 'undefined' && rdaq.plans.plans.size && rdaq.connection.role"
SECRETS = {role: f"{role}-".ljust(40, "x") for role in Role}
SAID = "document.getElementById('plan-said').textContent"


@pytest.fixture(scope="module")
def session(profile_path, data_dir, nothing_left_by_module):
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(profile_path), data_dir=data_dir) as made:
            made.RE(enable(made.rig["x"], made.rig["y"]))
            yield made


@pytest.fixture(scope="module")
def shared_tab(page):
    page.until(LOADED)
    page.run("document.getElementById('plan-panel').open = true")
    return page


@pytest.fixture
def meter(session):
    """The power meter reads when the test lets it: a scan is where it is however slow the machine."""
    with held(session, "power_meter") as gate:
        yield gate


@pytest.fixture
def tab(shared_tab, session):
    if latch.tripped:
        reset("the next test begins", force=True)
    wait(lambda: not (session.RE.turns.plan or session.RE.turns.moving), "the one before is over")
    session.RE(bps.mv(session.rig["x"].velocity, 5.0))
    session.RE(bps.mv(session.rig["x"], 0))
    shared_tab.until(IDLE)
    shared_tab.run("rdaq.plans.forms.clear()")
    yield shared_tab
    with contextlib.suppress(EngineBusy):
        shared_tab.run("rdaq.connection.ask('Abort', {reason: 'the test is over'}).catch(() => 0)")


def choose(tab, plan):
    """Show the form of a plan."""
    tab.run(f"(document.getElementById('plan-choice').value = {plan!r}, rdaq.plans.choose())")


def field(name):
    """JavaScript for a field of the form that is shown."""
    return f"rdaq.plans.form.find((each) => each.name === {name!r})"


def give(tab, **values):
    """Type values, as a person does."""
    for name, value in values.items():
        tab.run(f"({field(name)}.input.value = {str(value)!r}, {field(name)}.input.dispatchEvent(new Event('change')))")


def press(tab):
    tab.until("!document.getElementById('plan-start').disabled")
    tab.run("document.getElementById('plan-start').click()")


def wrong(tab, name):
    """What is said beside a field."""
    return tab.run(f"{field(name)}.error.textContent")


def test_the_form_has_the_types_defaults_limits_units_and_fitting_devices(tab):
    choose(tab, "knife_edge_scan")
    assert tab.run(f"[...{field('stage')}.input.options].map((each) => each.value)") == [
        *("", "x", "y"),
        "calibration.pixel_size",
    ]
    assert tab.run(f"{field('power_meter')}.input.value") == "power_meter"
    assert tab.run(f"{field('light')}.input.options[0].textContent") == "none"
    kinds = tab.run("rdaq.plans.form.map((each) => each.constructor.name)")
    assert kinds == [
        "DeviceField",
        "DeviceField",
        "NumberField",
        "NumberField",
        "NumberField",
        "NumberField",
        "DeviceField",
    ]
    assert tab.run(f"{field('num')}.range.textContent") == "5 to 100000"
    assert tab.run(f"{field('settle')}.range.textContent") == "0 to 600 s"
    assert tab.run(f"{field('start')}.range.textContent") == ""
    give(tab, stage="x")  # whose units and limits positions have
    assert tab.run(f"{field('start')}.range.textContent") == "-25 to 25 mm"
    give(tab, stage="y")
    assert tab.run(f"[{field('stop')}.input.min, {field('stop')}.input.max]") == ["-12.5", "12.5"]
    assert "Scan a blade through the beam" in tab.text("plan-doc")
    choose(tab, "focus")
    assert tab.run(f"{field('tolerance')}.range.textContent").startswith("above 0")
    choose(tab, "count")
    assert tab.run(f"{field('detectors')}.boxes.map((each) => each.value)") == [
        "stage",
        "x",
        "y",
        "power_meter",
        "cam",
        "calibration.pixel_size",
    ]
    choose(tab, "open_shutter")
    assert "no device of this rig fits device" in tab.text("plan-why")
    assert tab.run("document.getElementById('plan-start').disabled")
    python = (
        "import('./fields.js').then(({field}) => field({name: 'inner', required: true, schema: '{}'}, 'id').impossible)"
    )
    assert tab.run(python) == "inner can be given from Python only"


def test_a_scan_runs_as_it_was_filled_in(tab, session, meter):
    choose(tab, "knife_edge_scan")
    give(tab, stage="x", start=0, stop=2.4, num=7, settle=0.02)
    heard = []
    token = session.RE.subscribe(lambda name, document: heard.append((name, document)))
    press(tab)
    tab.until("rdaq.runs.state.engine === 'running' && rdaq.runs.state.run_uid")
    assert tab.run("document.getElementById('plan-start').disabled")  # one plan at a time
    assert "a plan is running" in tab.text("plan-why")
    meter.open()
    tab.until("document.querySelector('#recent .status')?.textContent === 'success'")
    tab.until(IDLE)
    session.RE.unsubscribe(token)
    start_ = next(document for name, document in heard if name == "start")
    assert (start_["plan_name"], start_["num_points"], start_["submitted_by"]) == ("knife_edge_scan", 7, "local")
    tab.until("rdaq.scans.streams.get('primary').columns.x.length", lambda length: length == 7)
    tab.until("!document.getElementById('plan-start').disabled")  # and again, with what was typed
    assert tab.run(f"{field('stop')}.input.value") == "2.4"


@pytest.mark.parametrize(
    ("plan", "given", "name", "said"),
    [
        ("knife_edge_scan", {}, "stage", "choose a device for stage"),
        ("knife_edge_scan", {"stage": "x", "num": 2}, "num", "2 is outside of 5 to 100000"),
        ("knife_edge_scan", {"stage": "x", "num": 7.5}, "num", "7.5 is no whole number"),
        ("knife_edge_scan", {"stage": "x", "stop": 26}, "stop", "26 is outside of -25 to 25 mm"),
        ("knife_edge_scan", {"stage": "y", "stop": 24}, "stop", "24 is outside of -12.5 to 12.5 mm"),
        ("set_wavelength", {"device": "power_meter", "nm": 0}, "nm", "0 is outside of above 0"),
        ("set_wavelength", {"device": "power_meter"}, "nm", "nm is needed"),
        ("move", {"axes": "x", "targets": "1, two"}, "targets", "targets takes numbers"),
        ("count", {}, "detectors", "choose one or more"),
    ],
)
def test_what_is_wrong_is_said_beside_it_and_nothing_is_sent(tab, session, plan, given, name, said):
    choose(tab, plan)
    give(tab, **given)
    before = tab.run("rdaq.connection.number")
    tab.run("rdaq.devices.cards.forEach((card) => (card.element.open = false))")
    press(tab)
    assert said in wrong(tab, name)
    assert tab.run(f"{field(name)}.input.getAttribute('aria-invalid')") == "true"
    assert tab.run(f"document.activeElement === {field(name)}.input")
    assert tab.run("rdaq.connection.number") - before < 20
    assert str(session.RE.state) == "idle"


def test_what_the_rig_refuses_is_said_beside_the_field_too(tab):
    choose(tab, "knife_edge_scan")
    give(tab, stage="x")
    tab.run(f"({field('num')}.least = 1)")  # as if the page knew less than the rig
    give(tab, num=2)
    press(tab)
    tab.until(f"{field('num')}.error.textContent", lambda text: "num = 2" in text and "5 to 100000" in text)
    assert tab.run(SAID) == ""
    # What only the plan itself finds is said below.
    give(tab, num=7, start=1, stop=0)
    press(tab)
    tab.until(SAID, lambda text: "blade from 1 to 0" in text)
    tab.until("!document.getElementById('plan-start').disabled")


def test_lists_and_truths_arrive_as_they_are(tab, session):
    choose(tab, "move")
    give(tab, axes="x, y", targets="0.5, -0.25")
    tab.run(f"{field('relative')}.input.checked = true")
    before = [location_of(session, name) for name in ("x", "y")]
    press(tab)
    tab.until("rdaq.connection && document.getElementById('log').textContent.includes('move was started here')")
    assert session.RE.turns.wait_over(30)  # the page may still have the state of before
    moved = [location_of(session, name) - at for name, at in zip(("x", "y"), before, strict=True)]
    assert moved == pytest.approx([0.5, -0.25], abs=1e-3)


def location_of(session, name):
    found = []

    def plan():
        found.append((yield from bps.rd(session.rig[name])))

    session.RE(plan())
    return found[0]


def test_while_everything_is_stopped_none_is_started(tab):
    choose(tab, "count")
    tab.key("Escape")
    tab.until("!document.getElementById('latch').hidden && document.getElementById('plan-start').disabled")
    assert "everything is stopped" in tab.text("plan-why")
    refused = tab.run("rdaq.connection.ask('RunPlan', {name: 'count'}).catch((error) => error.kind)")
    assert refused == "StopLatched"


def test_a_double_click_starts_one_plan(tab, session, meter):
    begun = []
    token = session.RE.subscribe(lambda name, document: begun.append(name))
    choose(tab, "knife_edge_scan")
    give(tab, stage="x", start=0, stop=2.4, num=5)
    tab.run("((button) => (button.click(), button.click()))(document.getElementById('plan-start'))")
    tab.until("rdaq.runs.state.engine === 'running' && rdaq.runs.state.run_uid")
    meter.open()
    tab.until("document.querySelector('#recent .status').textContent === 'success'")
    tab.until(IDLE)
    session.RE.unsubscribe(token)
    assert begun.count("start") == 1


def test_a_token_is_asked_for_once_and_an_observer_can_stop_but_nothing_else(browser, session):
    tokens = [Token("alice", Role.OPERATE, SECRETS["operate"]), Token("screen", Role.OBSERVE, SECRETS["observe"])]
    with Server(session, Access(tokens=tokens), page=0) as server, opened(browser, server.page) as tab:
        tab.until("document.getElementById('login').open")
        tab.fill("#token", "wrong")
        tab.run("document.querySelector('#login button').click()")
        tab.until("document.getElementById('login-said').textContent", lambda text: "not known" in text)
        tab.until("document.getElementById('login').open")  # again, when the page has asked who it is
        tab.fill("#token", SECRETS["observe"])
        tab.run("document.querySelector('#login button').click()")
        tab.until(f"{LOADED} === 'observe'")
        assert tab.run("document.cookie") == ""
        assert all(SECRETS["observe"] not in url for url in tab.requests())
        tab.until("rdaq.devices.cards.find((card) => card.device.name === 'x').rows[0].go.disabled")
        choose(tab, "knife_edge_scan")
        tab.until("document.getElementById('plan-start').disabled")
        assert "your token is to observe" in tab.text("plan-why")
        for call in ("RunPlan', {name: 'count'}", "Set', {name: 'x.velocity'}", "Abort', {}"):
            assert tab.run(f"rdaq.connection.ask('{call}).catch((error) => error.kind)") == "NotAllowed"
        tab.run("(window.stale = true, void location.reload())")
        tab.until("!window.stale && typeof rdaq !== 'undefined' && rdaq.stop.isOpen")  # the browser is known
        tab.key("Escape")
        tab.until("!document.getElementById('latch').hidden")
        assert latch.tripped
    reset("the test is over", force=True)


def test_values_of_devices_come_with_the_documents_of_a_run(tab, session):
    """Between two looks at a card: what a run reads is shown when its event comes."""
    x = "rdaq.devices.cards.find((card) => card.device.name === 'x')"
    tab.run(f"{x}.element.open = true")
    tab.until(f"{x}.rows[0].key")
    tab.run(f"{x}.over = true")  # it is not asked any more
    choose(tab, "knife_edge_scan")
    give(tab, stage="x", start=0, stop=2.4, num=5)
    press(tab)
    tab.until(f"{x}.rows[0].value", lambda value: value == pytest.approx(2.4, abs=1e-3))
    tab.until(IDLE)
    tab.until(f"{x}.rows[0].setpoint.textContent", lambda text: text == "→ 2.4 mm")
    tab.run(f"({x}.over = false, void rdaq.devices.keepReading({x}))")


def test_a_cut_does_not_hide_how_the_plan_ended(tab, session, meter):
    begun = []
    token = session.RE.subscribe(lambda name, document: begun.append(name))
    choose(tab, "knife_edge_scan")
    give(tab, stage="x", start=0, stop=2.4, num=7)
    press(tab)
    tab.until("rdaq.runs.state.engine === 'running' && rdaq.runs.state.run_uid")
    tab.run(cut("connection"))
    tab.until("rdaq.connection.isOpen")
    tab.run("document.getElementById('run-reason').value = 'seen enough'")
    tab.until("!document.getElementById('abort').disabled")
    tab.run("document.getElementById('abort').click()")
    tab.until(SAID, lambda text: text == "abort: seen enough")
    session.RE.unsubscribe(token)
    assert begun.count("start") == 1


def test_what_was_typed_and_opened_stays_across_a_cut(tab):
    choose(tab, "knife_edge_scan")
    give(tab, stage="y", num=17)
    x = "rdaq.devices.cards.find((card) => card.device.name === 'x').element"
    tab.run(f"({x}.open = false, rdaq.loaded = rdaq.devices.loads, rdaq.connection.socket.close())")
    tab.until(f"rdaq.connection.isOpen && rdaq.devices.loads > rdaq.loaded && !{x}.open")
    tab.until("document.getElementById('recent-said').textContent")  # the last that is asked for then
    assert tab.run(f"[{field('stage')}.input.value, {field('num')}.input.value]") == ["y", "17"]
    tab.run(f"{x}.open = true")


def test_an_axis_finds_its_home(tab, bench):
    x = "rdaq.devices.cards.find((card) => card.device.name === 'x')"
    before = len(bench.arrivals("esp300", b"1OR"))
    tab.run(f"[...{x}.element.querySelectorAll('button')].find((each) => each.textContent === 'Home').click()")
    tab.until("document.getElementById('log').textContent", lambda text: "x has found its home" in text)
    assert len(bench.arrivals("esp300", b"1OR")) > before


def test_how_far_the_plan_is_is_told(tab, session):
    session.RE(bps.mv(session.rig["x"].velocity, 0.01))  # it does not arrive
    choose(tab, "move")
    give(tab, axes="x", targets="12")
    press(tab)
    tab.until(
        "document.getElementById('plan-progress').textContent", lambda text: text.startswith("x ") and "mm" in text
    )
    assert 0 <= tab.run("document.querySelector('#plan-progress progress').value") <= 1
    tab.run("document.getElementById('abort').click()")
    tab.until(IDLE)
    tab.until("document.getElementById('plan-progress').children.length === 0")
