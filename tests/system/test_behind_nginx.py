"""TLS in front of a rig and its catalog by nginx, with the configuration of the docs: all that goes through it."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from pathlib import Path

import bluesky.plans as bp
import pytest
from certificates import Authority
from nginx import changed, configuration, free_ports, nginx, running
from tiled.client import from_uri
from viewed import camera_rig, fly
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect as web_socket

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import NotAllowed
from rdaq_ophyd.server import Access, Server, TokenFile
from rdaq_ophyd.stop import reset

ALICE, NEW, BOB = (letter * 40 for letter in "anb")
BOUND = 20
SCALED = Path(__file__).parents[2] / "profiles" / "scaled"


def until(condition, seconds=BOUND):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def write_tokens(path: Path, **people: tuple[str, list[str]]) -> Path:
    """Beside it, then in its place."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    fresh.write_text("".join(f'[{n}]\nrole = "{role}"\ntoken = {said}\n' for n, (role, said) in people.items()))
    fresh.chmod(0o600)
    fresh.replace(path)
    return path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return tmp_path_factory.mktemp("tokens") / "tokens.toml"


@pytest.fixture(autouse=True)
def usual_tokens(tokens):
    write_tokens(tokens, alice=("operate", [ALICE]), bob=("observe", [BOB]))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, untraced, nothing_left_by_module):
    with EmbeddedCatalog(tmp_path_factory.mktemp("data")) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with camera_rig(tmp_path_factory.mktemp("frames"), 32, 24) as made:
        yield made


@pytest.fixture(scope="module")
def front(session, catalog, tokens, tmp_path_factory):
    """nginx before the server of a rig and before Tiled."""
    rig, data = free_ports(2)
    write_tokens(tokens, alice=("operate", [ALICE]), bob=("observe", [BOB]))
    access = Access(tokens=TokenFile(tokens), public=f"https://localhost:{rig}")
    with Server(session, access, page=0) as server:
        inside = {
            "127.0.0.1:50051": server.address,
            "127.0.0.1:50052": server.page.split("/")[2],
            "127.0.0.1:8000": catalog.ready(100).split("/")[2],
        }
        with nginx(tmp_path_factory.mktemp("nginx"), rig, data, inside) as made:
            yield made


@pytest.fixture
def client(front):
    with connect(front.rig, token=ALICE, certificate=front.certificate) as made:
        yield made


def get(front, path="/", method="GET", body=None, **headers):
    """Status, headers and body, by the public name."""
    connection = http.client.HTTPSConnection(front.rig, timeout=BOUND, context=front.context())
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def socket(front, **headers):
    headers = {"Authorization": f"Bearer {ALICE}"} | headers
    return web_socket(f"wss://{front.rig}/ws", ssl=front.context(), additional_headers=headers, proxy=None)


def closed_after(made, call) -> int:
    """The code that a call closes it with, whether or not a word about the call comes before."""
    try:
        made.send(call)
        while said := json.loads(made.recv(BOUND)):
            assert said["error"]["what"] == "the token of alice is no longer valid"
    except ConnectionClosedError as closed:
        return closed.rcvd.code


# -- the rig --------------------------------------------------------------------------------------------------


def test_grpc_goes_through_calls_streams_refusals_and_the_stop(front, client, session):
    assert client.devices.cam.exposure.get() > 0
    frames = client.frames("cam")
    flying = threading.Thread(target=fly, args=(session, 50))
    flying.start()
    seen = [next(frames) for _ in range(3)]
    flying.join(BOUND)
    frames.close()
    assert seen[0].array.shape == (24, 32)
    assert seen[-1].sequence > seen[0].sequence
    with pytest.raises(NotAllowed, match="no known token"), connect(
        front.rig, token="x" * 40, certificate=front.certificate
    ):  # fmt: skip
        pass
    with connect(front.rig, token=BOB, certificate=front.certificate) as bob:
        with pytest.raises(NotAllowed, match="bob may observe"):
            bob.devices.cam.exposure.set(0.1)
        bob.stop_all("through the proxy")
    reset("the test goes on", force=True)


def test_the_page_is_let_in_by_its_public_name_and_by_no_other(front):
    name = front.rig
    status, headers, _ = get(front, "/login", "POST", ALICE.encode(), Origin=f"https://{name}")
    assert status == 204
    assert "Secure" in headers["Set-Cookie" if "Set-Cookie" in headers else "set-cookie"]
    assert get(front, "/", Origin="https://evil.example")[0] == 403
    assert get(front, "/", Origin=f"http://{name}")[0] == 403
    assert get(front, "/", Host="evil.example")[0] == 403
    assert get(front, "/whoami")[0] == 401
    with socket(front, Origin=f"https://{name}") as made:
        made.send('{"ping": 7}')
        assert json.loads(made.recv(BOUND))["who"] == "alice"
    with pytest.raises(InvalidStatus, match="403"), socket(front, Origin="https://evil.example"):
        pass


def test_the_audit_log_knows_the_browser_behind_the_proxy_and_believes_no_client(front, session):
    with socket(front, **{"X-Forwarded-For": "203.0.113.7"}) as made:
        made.send(json.dumps({"id": 1, "call": "Set", "request": {"name": "cam.nothing"}}))
        made.recv(BOUND)
    log, found = session.settings.data_dir / "session" / "audit.log", []

    def written():
        found[:] = [entry for line in log.read_text().splitlines() if (entry := json.loads(line))["call"] == "Set"]
        return found

    until(written)
    assert [entry["who"] for entry in found] == ["alice"]
    assert found[0]["peer"].startswith("page:127.0.0.1")


# -- the catalog ----------------------------------------------------------------------------------------------


# websockets deprecates how Tiled calls it, in a thread that would end of the warning.
@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")
def test_tiled_is_read_and_followed_through_it(front, catalog, session, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))  # what both of its clients look at
    key = (catalog.layout.catalog / "api_key").read_text().strip()
    there = from_uri(f"https://{front.data}/api/v1", api_key=key)
    assert there.item["links"]["self"].startswith(f"https://{front.data}/")
    heard = []
    subscription = there.subscribe()
    keep = heard.append  # it is held weakly
    subscription.child_created.add_callback(keep)
    subscription.start_in_thread()
    until(subscription._connected_event.is_set)
    spooled = session.RE.subscribe(catalog.spool)
    try:
        (uid,) = session.RE(bp.count([session.rig["cam"]], 2)).run_start_uids
        assert catalog.wait_drained(uid, timeout=60)
        until(lambda: heard)
        assert there[uid].primary["cam-mean"].read().shape == (2,)
    finally:
        session.RE.unsubscribe(spooled)
        subscription.disconnect()
        there.context.http_client.close()


# -- logs -----------------------------------------------------------------------------------------------------


def test_a_key_in_an_address_stands_in_no_log_of_requests(front):
    key = secrets.token_hex(16)
    for place in (front.rig, front.data):
        connection = http.client.HTTPSConnection(place, timeout=BOUND, context=front.context())
        connection.request("GET", f"/here/{place[-5:]}?api_key={key}")
        connection.getresponse().read()
        connection.close()
        until(lambda seen=f"/here/{place[-5:]}": seen in (front.folder / "access.log").read_text())
    assert key not in (front.folder / "access.log").read_text()
    assert (front.folder / "default.log").read_text() == ""  # that of the distribution, which has whole addresses


def test_both_shipped_files_go_into_one_nginx(tmp_path):
    rig, data, catalog = free_ports(3)
    Authority(tmp_path)
    said = {
        "443": f"127.0.0.1:{catalog}",
        "/etc/rdaq/tls/catalog.crt": f"{tmp_path}/cert.pem",
        "/etc/rdaq/tls/catalog.key": f"{tmp_path}/key.pem",
        "/var/log/nginx/rdaq.log": f"{tmp_path}/access.log",
    }
    other = changed((SCALED / "nginx.conf").read_text(), said)
    with running(tmp_path, configuration(tmp_path, {}, rig, data) + other, catalog):
        pass


# -- keys that change -----------------------------------------------------------------------------------------


def test_a_token_is_replaced_while_a_client_follows(front, client, tokens, session):
    until_now = client.watch()
    next(until_now)
    write_tokens(tokens, alice=("operate", [ALICE, NEW]), bob=("observe", [BOB]))
    client.devices.cam.exposure.set(0.002)
    with connect(front.rig, token=NEW, certificate=front.certificate) as fresh:
        assert fresh.devices.cam.exposure.get() == pytest.approx(0.002)
        write_tokens(tokens, alice=("operate", [NEW]), bob=("observe", [BOB]))
        with pytest.raises(NotAllowed, match="no known token"):
            client.devices.cam.exposure.get()
        fly(session, 1)  # something to tell whoever still listens
        with pytest.raises(NotAllowed):
            for _ in until_now:
                pass


def test_a_cookie_goes_with_its_token(front, tokens):
    headers = get(front, "/login", "POST", ALICE.encode())[1]
    cookie = {name.lower(): value for name, value in headers.items()}["set-cookie"].split(";")[0]
    with socket(front, Authorization="", Cookie=cookie) as made:
        made.send('{"id": 1, "call": "GetState", "request": {}}')
        assert "item" in json.loads(made.recv(BOUND))
        made.recv(BOUND)
        write_tokens(tokens, bob=("observe", [BOB]))
        assert closed_after(made, '{"id": 2, "call": "GetState", "request": {}}') == 1008
    assert get(front, "/whoami", Cookie=cookie)[0] == 401


def test_a_certificate_is_replaced_while_a_client_follows(front, client, session):
    following = client.watch()
    next(following)
    before = front.shown()
    front.authority.renew()
    front.reload()
    until(lambda: front.shown() != before)
    client.devices.cam.exposure.set(0.004)
    fly(session, 1)
    assert next(following) is not None
    with connect(front.rig, token=ALICE, certificate=front.certificate) as fresh:
        assert fresh.devices.cam.exposure.get() == pytest.approx(0.004)
