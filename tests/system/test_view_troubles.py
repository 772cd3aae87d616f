"""The page where something is wrong: paths that swallow a stop, connections that are all taken, tokens that change."""

from __future__ import annotations

import contextlib
import http.client
import json
from contextlib import contextmanager

import pytest
from benchmarks._browser import PROGRAM, Browser
from cutproxy import CutProxy
from troubled import LOADED, SAID, Swallowing, place, troubled_rig
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rdaq_ophyd.server import Access, Role, Server, Token
from rdaq_ophyd.server._web_places import MOST_EACH
from rdaq_ophyd.stop import latch, reset

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
BOUND = 20
STANDS = "document.getElementById('connection').textContent"
ASKED = "document.getElementById('login').open"
IDLE = Token("screen", Role.OBSERVE, "o" * 40)
ALICE, ANEW = (Token("alice", Role.OPERATE, letter * 40) for letter in "ab")


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with troubled_rig(tmp_path_factory.mktemp("frames")) as made:
        yield made


@pytest.fixture(scope="module")
def browser(session):
    with Browser() as made:
        yield made


@pytest.fixture(scope="module")
def proxy(session):
    with Server(session, page=0) as server, Swallowing(place(server)) as made:
        yield made


@pytest.fixture(scope="module")
def shared_tab(browser, proxy):
    made = browser.open(f"http://{proxy.address}/")
    made.until(LOADED)
    return made


@pytest.fixture
def tab(shared_tab, proxy):
    yield shared_tab
    proxy.swallows = False
    proxy.mend()
    if latch.tripped:
        reset("the test is over", force=True)
    shared_tab.until(f"{LOADED} && rdaq.connection.isOpen && document.getElementById('latch').hidden")
    assert not [event for event in shared_tab.events if event["method"] == "Runtime.exceptionThrown"]


@contextmanager
def opened(browser, address):
    """A page of its own."""
    tab = browser.open(address)
    try:
        yield tab
    finally:
        tab.leave()


def give(tab, token):
    """Type a token, as a person does."""
    tab.until(ASKED)
    tab.fill("#token", token.secret)
    tab.run("document.querySelector('#login button').click()")


def post(server, path="/stop", body=b"by hand", **headers):
    """Status and body."""
    connection = http.client.HTTPConnection(place(server), timeout=BOUND)
    try:
        connection.request("POST", path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


# -- a path that breaks ---------------------------------------------------------------------------------------


def test_silence_is_lost_only_after_something_was_asked_however_late_timers_come(tab, proxy):
    """A browser lets those of a hidden page run once a minute."""
    tab.run("(clearInterval(rdaq.stop.beat), rdaq.lost = 0, rdaq.stop.addEventListener('lost', () => rdaq.lost++))")
    tab.run("(rdaq.stop.heard -= 60e3, rdaq.stop.ponged = 0, rdaq.stop.keepAlive())")
    tab.until("rdaq.stop.ponged > 0")
    assert tab.run("rdaq.stop.isOpen && rdaq.lost === 0")
    proxy.swallows = True
    tab.run("(rdaq.stop.keepAlive(), rdaq.stop.pinged -= 60e3, rdaq.stop.heard -= 60e3, rdaq.stop.keepAlive())")
    tab.until("rdaq.lost === 1")


# -- a stop arrives -------------------------------------------------------------------------------------------


def test_a_stop_that_was_swallowed_is_sent_again_when_the_path_is_back(tab, proxy):
    proxy.swallows = True
    tab.key("Escape")
    tab.until(SAID, lambda text: "no answer for" in text and "sending it again" in text)
    assert not latch.tripped
    proxy.swallows = False
    proxy.cut()
    proxy.mend()
    tab.until(SAID, lambda text: "confirmed in" in text)
    assert latch.tripped
    assert tab.run("document.body.classList.contains('stopping')") is False


def test_a_stop_whose_websocket_hangs_goes_by_post(tab):
    tab.run("(rdaq.hung = rdaq.stop.socket, rdaq.hung.send = () => {})")
    tab.key("Escape")
    tab.until(SAID, lambda text: "confirmed in" in text)
    assert latch.tripped
    assert tab.run("rdaq.stop.socket === rdaq.hung")
    tab.until("document.getElementById('latch-why').textContent", lambda text: "STOP in the browser" in text)
    tab.run("rdaq.stop.socket.close()")
    tab.until("!rdaq.stop.isOpen")


def test_a_stop_that_could_not_be_sent_says_so_with_its_time_and_is_not_sent_later(tab, proxy):
    proxy.cut()
    tab.until("!rdaq.stop.isOpen && !rdaq.connection.isOpen")
    tab.key("Escape")
    assert tab.run(SAID).startswith("NOT SENT yet: ")
    tab.until(SAID, lambda text: text.startswith("NOT SENT: the STOP at "))
    assert "hardware's own stop" in tab.run(SAID)
    assert tab.run("document.body.classList.contains('stopping')") is False
    proxy.mend()
    tab.until("rdaq.stop.isOpen && rdaq.connection.isOpen")
    tab.run("rdaq.stop.ask('GetState')")
    assert not latch.tripped
    assert tab.run(SAID).startswith("NOT SENT: the STOP at ")
    tab.key("Escape")
    tab.until(SAID, lambda text: "confirmed in" in text)


def test_a_connection_that_hangs_while_it_opens_is_given_up(tab, proxy):
    proxy.swallows, proxy.taken = True, b""
    proxy.cut()
    proxy.mend()
    tab.until("rdaq.stop.socket?.readyState === 0", lambda opening: opening and b"GET /ws" in proxy.taken)
    proxy.swallows = False
    tab.until("rdaq.stop.isOpen && rdaq.connection.isOpen")  # although nobody ever answers those of before


@pytest.mark.parametrize("how", ["mouse", "script"])
def test_escape_stops_while_a_list_is_open(tab, how):
    tab.run("document.getElementById('colours').focus()")
    if how == "mouse":
        tab.click("#colours")
    else:
        tab.run("document.getElementById('colours').showPicker()")
    tab.run("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))).then(() => 0)")
    tab.key("Escape")
    tab.until(SAID, lambda text: "confirmed in" in text)
    assert latch.tripped


def test_one_press_stops_once_and_the_key_of_another_window_not_at_all(tab):
    tab.run("(document.getElementById('colours').focus(), rdaq.before = rdaq.stop.number)")
    tab.key("Escape")
    tab.until(SAID, lambda text: "confirmed in" in text)
    assert tab.run("rdaq.stop.number - rdaq.before") == 1
    tab.until("!document.getElementById('latch').hidden")
    reset("once more", force=True)
    tab.until(f"document.getElementById('latch').hidden && {SAID} === ''")
    tab.run("document.activeElement.blur()")
    tab.ask("Input.dispatchKeyEvent", type="keyUp", key="Escape", code="Escape")
    tab.run("rdaq.stop.ask('GetState')")
    assert not latch.tripped
    assert tab.run(SAID) == ""


def middle(tab):
    box = tab.run("document.getElementById('stop').getBoundingClientRect().toJSON()")
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_button_stops_as_it_is_pressed_and_its_click_stops_not_again(tab):
    tab.run("(rdaq.before = rdaq.stop.number)")
    tab.mouse("mousePressed", *middle(tab))
    tab.until(SAID, lambda text: "confirmed in" in text)
    assert latch.tripped
    tab.mouse("mouseReleased", *middle(tab))
    assert tab.run("rdaq.stop.number - rdaq.before") == 1
    tab.run("new Promise((later) => setTimeout(later, 1100))")  # a key makes a click alone, and later is another press
    tab.run(f"({SAID} = '', document.getElementById('stop').click())")
    tab.until("rdaq.stop.number - rdaq.before === 2")
    tab.until(SAID, lambda text: "confirmed in" in text)  # it is there before the reset that comes next


@pytest.mark.parametrize("width", [320, 768, 1400])
def test_the_button_stays_where_it_is_whatever_is_said_beside_it(tab, width):
    tab.ask("Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=False)
    before = middle(tab)
    tab.run(f"({SAID} = 'NOT CONFIRMED: of the STOP at 12:00:00 nobody knows whether it arrived. '.repeat(2))")
    assert middle(tab) == before
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    tab.run(f"{SAID} = ''")
    tab.ask("Emulation.clearDeviceMetricsOverride")


def test_whoever_stopped_it_the_head_of_the_page_says_so(tab):
    latch.trip("it smells", "somebody at the bench")
    tab.until(SAID, lambda text: text == "everything is stopped")
    reset("the bench was looked at", force=True)
    tab.until(SAID, lambda text: text == "")


def test_a_stop_by_post_is_for_whoever_may_look_and_for_no_other_site(session):
    with Server(session, Access(tokens=[IDLE]), page=0) as server:
        shown = {"Authorization": f"Bearer {IDLE.secret}"}
        assert post(server)[0] == 401
        assert post(server, Origin="https://evil.example", **shown)[0] == 403
        assert not latch.tripped
        status, body = post(server, body=b"smoke " * 2000, **shown)
        said = json.loads(body)
        assert status == 200
        assert said["reason"].startswith("smoke smoke")
        assert "cam" in {each["device"] for each in said["verdicts"]}
        assert latch.tripped
        metric = server.calls.registry.get_sample_value
        assert metric("rdaq_grpc_calls_total", {"method": "StopAll", "code": "OK"}) == 1
        reset("the test is over", force=True)
        connection = http.client.HTTPConnection(place(server), timeout=BOUND)
        connection.request("POST", "/stop", headers={"Content-Length": "99", **shown})  # whose reason never comes
        assert connection.getresponse().status == 200
        assert latch.tripped
        connection.close()
    reset("the test is over", force=True)


def test_while_others_hold_all_connections_a_page_says_so_and_stops(session, browser):
    with Server(session, page=0) as server, contextlib.ExitStack() as stack:
        address = f"ws://{place(server)}/ws"
        held = [stack.enter_context(connect(address, proxy=None)) for _ in range(MOST_EACH)]
        new = stack.enter_context(connect(address, proxy=None))  # in the place of an idle one
        assert held[0].recv_messages is not None
        for socket in [*held[1:], new]:
            socket.send('{"id": 1, "call": "WatchState"}')
            socket.recv(BOUND)
        with pytest.raises(InvalidStatus, match="503"):
            connect(address, proxy=None)
        with opened(browser, server.page) as tab:
            tab.until(STANDS, lambda text: "no room for this page" in text)
            tab.key("Escape")
            tab.until(SAID, lambda text: "confirmed in" in text)
            assert latch.tripped
    reset("the test is over", force=True)


# -- who is let in --------------------------------------------------------------------------------------------


def test_after_a_restart_and_with_another_token_a_page_asks_for_it_again(session, browser):
    tokens = [ALICE]
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Server(session, Access(tokens=tokens), page=0))
        proxy = stack.enter_context(CutProxy(place(first)))
        tab = stack.enter_context(opened(browser, f"http://{proxy.address}/"))
        give(tab, ALICE)
        tab.until(LOADED)
        with Server(session, Access(tokens=tokens), page=0) as second:
            proxy.cut()
            proxy.mend(place(second))
            tab.until(ASKED)
            assert tab.run(STANDS) == "this rig asks for your token"
            tab.key("Escape")
            tab.until(SAID, lambda text: text.startswith("NOT SENT yet: this rig asks for your token"))
            assert tab.run(ASKED)
            give(tab, ALICE)
            tab.until(f"{STANDS} === 'connected' && rdaq.stop.isOpen")
            # Whose token is taken away is asked for the new one, and the page does not go on as if nothing was.
            tokens[:] = [ANEW]
            tab.until(ASKED)
            assert tab.run(STANDS) != "connected"
            give(tab, ALICE)
            tab.until("document.getElementById('login-said').textContent", lambda text: "not known" in text)
            give(tab, ANEW)
            tab.until(f"{STANDS} === 'connected' && rdaq.stop.isOpen && rdaq.connection.who === 'alice'")
            proxy.cut()
    if latch.tripped:
        reset("the test is over", force=True)


def test_strangers_that_come_too_often_do_not_keep_the_form_for_the_token_away(session, browser):
    with Server(session, Access(tokens=[ALICE]), page=0) as server:
        for _ in range(25):
            assert post(server, "/login", b"x" * 40)[0] in (401, 429)
        with opened(browser, server.page) as tab:
            give(tab, ALICE)
            tab.until(LOADED)
            # While they go on, this is what a page is told that is not known.
            tab.run("(rdaq.fetch = fetch, fetch = async () => ({status: 429}))")
            tab.run("void import('./door.js').then(({Door}) => (rdaq.in = new Door().letIn()))")
            tab.until(ASKED)
            tab.run("(fetch = rdaq.fetch, document.getElementById('login').close())")
            tab.until("rdaq.in.then(() => true)")
