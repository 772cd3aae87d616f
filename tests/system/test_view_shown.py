"""What the page shows is what is: cards of many devices, old values, frames, progress, and scans without end."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from benchmarks._browser import PROGRAM, Browser
from troubled import LOADED, MANY, troubled_rig
from viewed import fly

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.server import Server

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with troubled_rig(tmp_path_factory.mktemp("frames")) as made:
        yield made


@pytest.fixture(scope="module")
def shared_tab(session):
    with Server(session, page=0) as server, Browser() as browser:
        made = browser.open(server.page)
        made.until(LOADED)
        yield made
        assert not [event for event in made.events if event["method"] == "Runtime.exceptionThrown"]


@pytest.fixture
def tab(shared_tab):
    yield shared_tab
    shared_tab.until(f"{LOADED} && rdaq.connection.isOpen")


def card(name):
    return f"rdaq.devices.cards.find((card) => card.device.name === {name!r})"


# -- what is shown is what is ---------------------------------------------------------------------------------


def test_each_of_many_devices_has_its_card(tab):
    tab.run("rdaq.devices.load().then(() => 0)")
    assert tab.run("rdaq.devices.cards.length") == MANY + 3
    assert tab.run("[...document.querySelectorAll('#devices .bad')].map((each) => each.textContent)") == []
    assert tab.run("rdaq.devices.cards.filter((card) => !card.element.querySelector('.others, .row')).length") == 0


def test_of_several_loads_one_set_of_cards_is_read(tab):
    tab.run("Promise.all([1, 2, 3].map(() => rdaq.devices.load())).then(() => 0)")
    tab.run("""(rdaq.readCards = [], rdaq.devices.read = function (card) {
        rdaq.readCards.push(card);
        return Object.getPrototypeOf(this).read.call(this, card);
    })""")
    tab.until(f"rdaq.readCards.length > {2 * (MANY + 3)}")
    assert tab.run("rdaq.readCards.filter((card) => !rdaq.devices.cards.includes(card)).length") == 0
    tab.run("void delete rdaq.devices.read")


def test_a_value_that_is_not_read_any_more_says_how_old_it_is(tab, session):
    slow = card("thing05")
    tab.run(f"({slow}.element.open = true, {slow}.others || ({slow}.element.querySelector('.others').open = true))")
    row = f"{slow}.others?.rows.find((row) => row.name === 'thing05.value')"
    tab.until(f"{row}?.now.textContent", lambda text: text == "1 V")
    assert tab.run(f"{row}.age.textContent") == ""
    thing = session.rig["thing05"]
    thing.hangs = True
    tab.until(f"{row}.age.textContent", lambda text: text.endswith(" s old"))
    assert tab.run(f"{row}.now.classList.contains('old')")
    assert tab.run(f"({card('x')}.rows[0].age.textContent)") == ""  # the others are read as ever
    thing.hangs = False
    tab.until(f"{row}.age.textContent === '' && !{row}.now.classList.contains('old')")
    # Without a connection nothing is what it is now.
    tab.run("(rdaq.connection.wait = 2000, rdaq.connection.socket.close())")
    tab.until("!rdaq.connection.isOpen")
    tab.until(f"{card('x')}.rows[0].age.textContent", lambda text: text.endswith(" s old"))
    tab.until("rdaq.connection.isOpen")
    tab.until(f"{card('x')}.rows[0].age.textContent === ''")


def test_a_frame_of_one_camera_is_never_that_of_another(tab, session):
    tab.run("((choice) => (choice.value = 'cam', choice.onchange()))(document.getElementById('camera'))")
    fly(session, 3)
    tab.until("rdaq.image.frame?.camera === 'cam' && document.getElementById('frame-size').textContent === '64 × 48'")
    assert tab.run("rdaq.image.made('npy').then(({camera}) => camera)") == "cam"
    tab.run("((choice) => (choice.value = 'other', choice.onchange()))(document.getElementById('camera'))")
    tab.until("rdaq.image.frame === null && !document.getElementById('no-frame').hidden")
    assert tab.text("frame-number") == "–"
    assert "no frame yet" in tab.run("rdaq.image.made('npy').catch((error) => error.message)")


def test_a_page_that_is_opened_in_a_run_shows_how_far_it_is(tab):
    """The documents of a run that is paused come before the first state."""
    tab.until("rdaq.runs.state.engine === 'idle'")
    seen = tab.run("""(() => {
        const seen = [], progress = document.getElementById('progress');
        const look = () => seen.push(progress.hidden ? null : document.getElementById('progress-said').textContent);
        rdaq.runs.take('start', {shape: [40]});
        rdaq.runs.take('event', {descriptor: 'd', seq_num: 1});
        look();
        rdaq.runs.show({...rdaq.runs.state, engine: 'paused'});
        look();
        rdaq.runs.take('stop', {});
        rdaq.runs.show({...rdaq.runs.state, engine: 'idle'});
        look();
        return seen;
    })()""")
    assert seen == [None, "1 of 40", None]


def test_how_far_a_flight_is_comes_from_what_is_in_its_file(tab, session):
    fly(session, 12)
    tab.until("rdaq.runs.done >= 12")


def test_what_a_run_read_long_ago_is_not_shown_as_what_is(tab):
    row = f"{card('x')}.rows[0]"
    tab.until(f"{row}.key")
    tab.run(f"{row}.key = 'x'")
    tab.run("rdaq.devices.readTogether = async () => true")  # by nothing else
    for age, is_shown in ((60, False), (0, True)):
        document = f"{{descriptor: 'd', seq_num: 1, time: Date.now() / 1000 - {age}, data: {{x: 77}}}}"
        tab.run(f"rdaq.documents.onDocument('event', {document})")
        assert ("77" in tab.run(f"{row}.now.textContent")) == is_shown
    tab.run(f"({row}.key = undefined, delete rdaq.devices.readTogether)")


def test_how_a_plan_ended_is_known_although_its_last_word_came_before_a_cut(tab):
    last = tab.run("""(async () => {
        const answers = [Promise.reject({kind: 'ServerGone'}), Promise.resolve(null)];
        const connection = {isOpen: true, begin: (name, request, {onItem}) => {
            if (name === 'RunPlan') onItem({id: 'p', number: '4', what: 'ENDED', exit_status: 'success'});
            return {done: answers.shift()};
        }};
        return Object.getPrototypeOf(rdaq.plans).ended.call({connection, hear() {}}, 'count', {});
    })()""")
    assert last["exit_status"] == "success"


def test_a_move_whose_page_goes_is_told_in_the_log(tab, session):
    axis = session.rig["x"]
    axis.free = False
    row = f"{card('x')}.rows[0]"
    tab.run(f"({row}.target.value = '3', {row}.go.click())")
    tab.until("rdaq.runs.state.moving.includes('x')")
    tab.run("rdaq.connection.socket.close()")
    tab.until(
        "document.getElementById('log').textContent",
        lambda text: "x on its way to 3 was stopped: the call of local that moved it was ended" in text,
    )
    axis.free = True
    tab.until("rdaq.connection.isOpen && rdaq.runs.state.moving.length === 0")


def test_a_step_is_above_zero_and_choices_are_sent_as_they_are(tab):
    tab.run("rdaq.devices.load().then(() => 0)")  # the last one: nothing replaces these cards
    row = f"{card('x')}.rows[0]"
    for wrong in ("-3", "0"):
        tab.run(f"({row}.step.value = {wrong!r}, {row}.element.querySelectorAll('button')[2].click())")
        tab.until(f"{row}.error.textContent", lambda text: "a step is above 0" in text)
    sent = tab.run("""import('./rows.js').then(async ({SetRow}) => {
        const asked = [];
        const set = ({value}) => (asked.push(value.text), {readback: value, severity: 1});
        const connection = {ask: async (call, request) => set(request)};
        const panel = {connection, first: () => false};
        const row = new SetRow(panel, {name: 'a.b', choices: ['two  spaces', ' one'], dtype: 'string', units: ''});
        row.severity = 2;
        for (const option of row.field.options) await row.set((row.field.value = option.value));
        return [asked, row.severity];
    })""")
    assert sent == [["two  spaces", " one"], 1]


def test_a_value_that_was_set_is_shown_with_the_alarm_that_it_has(tab, session):
    thing = session.rig["thing07"]
    tab.run(f"{card('thing07')}.element.querySelector('.others').open = true")  # its card is closed: nobody reads it
    row = f"{card('thing07')}.others.rows.find((row) => row.name === 'thing07.value')"
    tab.until(f"{card('thing07')}.others?.rows.length")
    read = vars(thing.value)["read"]

    async def alarming(*args, **options):
        return {key: {**reading, "alarm_severity": 2} for key, reading in (await read(*args, **options)).items()}

    vars(thing.value)["read"] = alarming
    assert tab.run(f"{row}.set('4').then(() => [{row}.severity, {row}.now.textContent])") == [2, "4 V (major alarm)"]
    vars(thing.value)["read"] = read
    assert tab.run(f"{row}.set('1').then(() => [{row}.severity, {row}.now.textContent])") == [0, "1 V"]


@pytest.mark.parametrize("how", ["a cut", "a refresh"])
def test_what_was_typed_on_a_card_and_who_has_the_focus_stays(tab, how):
    row = f"{card('x')}.rows[0]"
    tab.run(f"({card('thing01')}.element.open = {card('thing01')}.element.querySelector('.others').open = true)")
    tab.until(f"{card('thing01')}.others?.rows.length")
    tab.run(f"({row}.target.value = '5.25', {row}.target.focus(), rdaq.mine = {row}.target)")
    loads = tab.run("rdaq.devices.loads")
    if how == "a cut":
        tab.run("rdaq.connection.socket.close()")
        tab.until(f"rdaq.connection.isOpen && rdaq.devices.loads > {loads}")
    tab.run("rdaq.devices.load().then(() => 0)")
    assert tab.run(f"document.activeElement === rdaq.mine && rdaq.mine === {row}.target")
    assert tab.run("rdaq.mine.value") == "5.25"
    assert tab.run(f"{card('thing01')}.others.box.open && {card('thing01')}.others.box.isConnected")
    tab.run(f"({card('thing01')}.element.open = false, rdaq.mine.value = '')")


def test_a_card_is_made_anew_where_its_device_is_another_one_and_its_place_stays(tab):
    order = tab.run("rdaq.devices.cards.map((card) => card.device.name)")
    tab.run(f"(rdaq.mine = {card('x')}, rdaq.other = {card('thing02')}, rdaq.other.told = 'of before')")
    tab.run("rdaq.devices.load().then(() => 0)")
    assert tab.run(f"rdaq.mine === {card('x')} && rdaq.other !== {card('thing02')} && rdaq.other.over")
    shown = "[...document.querySelectorAll('#devices > .card')].map((each) => each.querySelector('strong').textContent)"
    assert tab.run(shown) == tab.run("rdaq.devices.cards.map((card) => card.device.name)") == order


def test_a_device_that_failed_is_tried_again_and_is_there_with_its_pictures(tab, session, monkeypatch):
    rig, camera = session.rig, session.rig.devices.pop("other")
    rig.failures["other"] = RdaqError("other does not answer", hint="is it on?")

    async def connect(name):
        if len(tried) == 1:
            raise RdaqError("other does not answer at all", hint="is it on?")
        del rig.failures[name]
        rig.devices[name] = camera

    tried = []
    monkeypatch.setattr(rig, "reconnect", lambda name: (tried.append(name), connect(name))[1])
    tab.click("#refresh")
    again = "document.querySelector('#devices [aria-label=\"other: Try again\"]')"
    tab.until(f"{again} && document.getElementById('camera').options.length === 1")
    tab.run(f"(rdaq.loaded = rdaq.devices.loads, {again}.click())")
    tab.until("document.getElementById('log').textContent", lambda text: "other does not answer at all" in text)
    tab.until(f"rdaq.devices.loads > rdaq.loaded && !!{again}")
    tab.run(f"{again}.click()")
    tab.until(f"!{again} && {card('other')} && document.getElementById('camera').options.length === 2")
    assert tried == ["other", "other"]


def test_an_axis_that_cannot_say_where_it_is_hides_no_other_one(tab):
    found = tab.run("""import('./devices.js').then(async ({Devices}) => {
        const told = {};
        const about = {capabilities: ['locatable']};
        const rows = ['dead', 'live'].map((name) => ({name, about, showSetpoint: (value) => (told[name] = value)}));
        const connection = {isOpen: true, ask: async (call, {names}) => {
            if (names.includes('dead')) throw Object.assign(new Error('does not answer'), {kind: 'NoAnswer'});
            return {locations: names.map(() => ({setpoint: 3}))};
        }};
        const { places } = rdaq.devices;
        await Object.assign(Object.create(Devices.prototype), {connection, places, cards: [{rows}]}).locate();
        return [String(told.dead), told.live];
    })""")
    assert found == ["NaN", 3]


def test_a_look_at_a_camera_that_hangs_is_not_followed_by_others(tab):
    """Calls that nobody answers would take up all that a connection may have."""
    tab.run("""(rdaq.looks = [], rdaq.connection.ask = function (call, request, ...more) {
        const ask = Object.getPrototypeOf(this).ask;
        if (!request?.names?.[0]?.endsWith('.frames_lost')) return ask.call(this, call, request, ...more);
        return new Promise((_, fail) => rdaq.looks.push(fail));
    })""")
    tab.until("rdaq.looks.length")
    began = tab.run("performance.now()")
    tab.until(f"performance.now() > {began} + 2500")
    assert tab.run("rdaq.looks.length") == 1
    tab.run("(delete rdaq.connection.ask, rdaq.looks.forEach((fail) => fail({kind: 'ServerGone'})))")


def test_what_can_be_charted_is_looked_for_once_at_a_time(tab):
    """A device that hangs holds one call, for as long as its card waits, however often somebody refreshes."""
    tab.until("!rdaq.chart.sources.loading")
    tab.run("""(rdaq.asked = [], void (rdaq.hanging = {ask: async (call, request, limit) => {
        if (call === 'ListDevices') return {devices: [{name: 'dead', capabilities: []}]};
        const late = {kind: 'NoAnswer', message: 'late'};
        return new Promise((_, fail) => rdaq.asked.push({limit, late: () => fail(late)}));
    }}))""")
    settled = "new Promise((done) => setTimeout(done, 0)).then(() => rdaq.asked.length)"
    tab.run("void [1, 2, 3].map(() => rdaq.chart.load(rdaq.hanging))")
    assert tab.run(settled) == 1
    assert tab.run("rdaq.asked[0].limit") == 30_000
    for length in (2, 2):  # once more, for what is there by now
        tab.run("rdaq.asked.at(-1).late()")
        assert tab.run(settled) == length
    tab.run("rdaq.chart.load(rdaq.connection).then(() => 0)")
    assert tab.run("rdaq.chart.sources.known.has('signal:thing00.value')")


def test_what_no_number_tells_is_shown_as_not_known(tab):
    row = f"{card('x')}.rows[0]"
    tab.run(f"{row}.follow({{current: 'NaN', initial: '0', target: '1'}})")
    assert not tab.run(f"{row}.progress.hasAttribute('value')")
    tab.run(f"{row}.follow({{current: '0.5', initial: '0', target: '1'}})")
    assert tab.run(f"{row}.progress.value") == 0.5


def test_who_may_only_look_from_now_on_can_end_nothing_from_now_on(tab):
    buttons = "['pause', 'finish', 'abort'].map((id) => document.getElementById(id).disabled)"

    def disabled(role):
        """As a sign of life tells it."""
        become = f"rdaq.connection.role = {role!r}, rdaq.connection.dispatchEvent(new Event('pong'))"
        return tab.run(f"({become}, {buttons})")

    tab.run("rdaq.runs.show({...rdaq.runs.state, engine: 'running'})")
    assert disabled("operate") == [False] * 3
    assert disabled("observe") == [True] * 3
    assert disabled("operate") == [False] * 3
    tab.run("rdaq.runs.show({...rdaq.runs.state, engine: 'idle'})")


def test_a_stream_that_ends_is_begun_again(tab):
    begun = tab.run("""import('./connection.js').then(async ({Connection}) => {
        const connection = new Connection(new URL('.', location.href));
        let begun = 0;
        connection.begin = () => (begun++, {done: Promise.resolve()});
        connection.follow('WatchState', {}, {});
        connection.dispatchEvent(new Event('open'));
        connection.isOpen = true;
        for (let n = 0; n < 100 && begun < 2; n++) await new Promise((next) => setTimeout(next, 100));
        connection.connect = () => 0;
        connection.abandon();
        return begun;
    })""")
    assert begun >= 2


# -- scans without end ----------------------------------------------------------------------------------------

SCAN = """((take) => {
    const hints = {dimensions: [[['time'], 'primary']]};
    take('start', {uid: 'u', time: 0, scan_id: 9, plan_name: 'long', hints});
    const number = {dtype: 'number', shape: [], units: 'W'};
    take('descriptor', {uid: 'd', name: 'primary', data_keys: {p: number, q: number}, hints: {p: {fields: ['p']}}});
    const many = 20000;
    const some = (value) => Array.from({length: many}, (_, n) => value(n));
    const data = {p: some((n) => (n === 9999 ? 40 : Math.sin(n))), q: some(() => Math.random())};
    take('event_page', {descriptor: 'd', seq_num: some((n) => n + 1), time: some((n) => n), data});
})((name, document) => rdaq.scans.take(name, document))"""


def test_what_is_drawn_of_a_scan_depends_on_the_screen_and_not_on_its_length(tab):
    tab.run("document.getElementById('scan-plot').scrollIntoView()")
    tab.run(f"void {SCAN}")
    width = tab.run("document.getElementById('scan-plot').clientWidth")
    tab.until("rdaq.scans.plot.traces[0]?.y.length === 20000 && rdaq.scans.plot.ys?.[1] > 40")
    assert 2 * width < tab.run("rdaq.scans.plot.drawn") < 4 * width
    # To and fro along x nothing is left out by columns: squares of the screen are drawn.
    tab.run("(document.getElementById('scan-x').value = 'q', rdaq.scans.draw())")
    tab.until("rdaq.scans.plot.xs?.[1] < 2")
    height = tab.run("document.getElementById('scan-plot').clientHeight")
    assert tab.run("rdaq.scans.plot.drawn") < width * height / 9


def test_no_extreme_of_a_column_is_left_out(tab):
    rng = np.random.default_rng(7)
    values = rng.normal(size=5000)
    values[rng.integers(0, 5000, 40)] = np.nan
    script = f"""import('./plot_reduced.js').then(({{reduced}}) => {{
        const ys = {json.dumps([None if np.isnan(value) else value for value in values])};
        const line = reduced(ys.map((_, n) => n), ys, (x) => x / 50, (y) => y);
        return [line.x, line.y, line.begins];
    }})"""
    x, y, begins = (np.array(each) for each in tab.run(script))
    columns = np.arange(5000) // 50
    for column in range(100):
        drawn, whole = y[np.floor(x) == column], values[columns == column]
        assert (drawn.min(), drawn.max()) == (np.nanmin(whole), np.nanmax(whole))
    assert np.all(np.diff(x) > 0)
    gaps = np.isnan(values)
    assert begins.sum() == np.sum(~gaps & np.r_[True, gaps[:-1]])
    assert len(x) < 100 * 4 + 3 * gaps.sum() * 2


def test_pages_stay_quick_while_a_long_scan_goes_on(tab):
    tab.run("document.getElementById('scan-plot').scrollIntoView()")
    tab.run(f"void {SCAN}")
    tab.run("""void (rdaq.events = setInterval(() => rdaq.scans.take('event', {descriptor: 'd',
        seq_num: rdaq.scans.stream.columns.time.length, time: rdaq.scans.stream.columns.time.length,
        data: {p: Math.random(), q: 0}}), 20))""")
    tab.run(
        "(rdaq.draws = 0, rdaq.draw = rdaq.scans.plot.draw, void (rdaq.scans.plot.draw = function () {"
        " rdaq.draws++; rdaq.draw.call(this); }))"
    )
    began = time.monotonic()
    tab.until("rdaq.draws > 4")
    seconds = time.monotonic() - began
    assert tab.run("rdaq.draws") <= 11 * seconds + 2
    tab.run("(clearInterval(rdaq.events), void (rdaq.scans.plot.draw = rdaq.draw))")
