"""``rdaq stop --host``: nothing comes before the stop, all of it is bounded, and what is wrong is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from bare import bare_session
from certificates import certificate_in
from cutproxy import CutProxy

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import aconnect, connect
from rdaq_ophyd.client._stop import stop_there
from rdaq_ophyd.errors import LimitError, NotAllowed, RdaqError, ServerGone, TooMuch
from rdaq_ophyd.server import Access, Limits, Role, Server, Token
from rdaq_ophyd.stop import latch, reset

ALICE = Token("alice", Role.OPERATE, "a" * 40)


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture(autouse=True)
def not_stopped(monkeypatch):
    monkeypatch.delenv("RDAQ_TOKEN", raising=False)
    yield
    if latch.tripped:
        reset("the test is over", force=True)


@pytest.fixture
def server(session):
    with Server(session, Access(tokens=[ALICE]), Limits(client_rate=1, client_burst=1)) as made:
        yield made


@pytest.fixture
def mute():
    """A server that hangs: the kernel takes connections, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield f"127.0.0.1:{made.getsockname()[1]}"


def stop(address, *words):
    return main(["stop", "--host", address, *words])


def test_no_rate_counts_for_a_stop(server, monkeypatch, capsys):
    connect(server.address, token=ALICE.secret).close()
    with pytest.raises(TooMuch):
        connect(server.address, token=ALICE.secret)
    monkeypatch.setenv("RDAQ_TOKEN", ALICE.secret)
    for _ in range(5):
        assert stop(server.address, "smoke") == 0
    assert "smoke" in latch.why
    assert capsys.readouterr().err == ""


def test_the_time_that_is_given_is_kept(mute, capsys):
    began = time.monotonic()
    assert stop(mute, "--timeout", "0.7") == 1
    assert 0.7 <= time.monotonic() - began < 7
    told = capsys.readouterr().err
    assert f"{mute} did not answer within 0.7 s; nothing is confirmed" in told
    assert "the instruments' own stops" in told
    name = mute.replace("127.0.0.1", "localhost")  # which has another address, where nobody listens
    assert stop(name, "--timeout", "2.5") == 1
    assert f"{name} did not answer within 2.5 s; nothing is confirmed" in capsys.readouterr().err
    for wrong in ("0", "-1", "nan", "inf", "1e9"):
        assert stop(mute, f"--timeout={wrong}") == 1
    with pytest.raises(LimitError, match="above 0, up to 3600 s"):
        stop_there(mute, timeout=0)


def test_where_nobody_listens_that_is_told_at_once(mute, capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    began = time.monotonic()
    assert stop(address, "--timeout", "600") == 1
    assert time.monotonic() - began < 60
    assert "is `rdaq serve` running there" in capsys.readouterr().err


def test_a_wrong_token_is_told_at_once(server):
    with pytest.raises(NotAllowed, match="no known token"):
        stop_there(server.address, token="b" * 40, timeout=600)
    assert not latch.tripped


def test_it_gets_through_when_connections_are_refused_at_first(server):
    told = []
    with CutProxy(server.address) as proxy:
        proxy.cut()
        threading.Timer(0.5, proxy.mend).start()
        report = stop_there(proxy.address, "smoke", token=ALICE.secret, timeout=30, tell=told.append)
    assert report.reason == "smoke"
    assert latch.tripped
    assert len(told) == 1


def test_it_tries_again_where_nobody_hears_of_it(server, monkeypatch, capfd):
    monkeypatch.setenv("RDAQ_TOKEN", ALICE.secret)
    unread, error = os.pipe()
    os.close(unread)
    with CutProxy(server.address) as proxy, os.fdopen(error, "w", buffering=1) as unheard:
        monkeypatch.setattr(sys, "stderr", unheard)
        proxy.cut()
        threading.Timer(0.5, proxy.mend).start()
        assert stop(proxy.address, "smoke") == 0
    assert "smoke" in latch.why


def test_a_client_whose_connection_breaks_stops_all_the_same(session):
    with Server(session) as server, CutProxy(server.address) as proxy, connect(proxy.address) as client:
        proxy.cut()
        threading.Timer(0.3, proxy.mend).start()
        assert client.stop_all("smoke").reason == "smoke"
    assert latch.tripped


async def test_so_does_one_on_a_loop(session):
    with Server(session) as server, CutProxy(server.address) as proxy:
        async with await aconnect(proxy.address) as client:
            proxy.cut()
            threading.Timer(0.3, proxy.mend).start()
            assert (await client.stop_all("smoke")).reason == "smoke"
    assert latch.tripped


@pytest.fixture
def secured(session, tmp_path):
    certificate, key = certificate_in(tmp_path)
    with Server(session, Access("localhost", certificate=certificate, key=key)) as made:
        yield made, certificate


def port_of(server):
    return server.address.rpartition(":")[2]


def test_whoever_forgets_tls_is_asked_about_it(secured):
    server, certificate = secured
    with pytest.raises(ServerGone, match=r"Socket closed → does it want TLS\? give --ca"):
        connect(server.address, timeout=10)
    told = []
    with pytest.raises(RdaqError, match=r"did not answer within 0.7 s"):
        stop_there(server.address, timeout=0.7, tell=told.append)
    assert len(told) == 1, "at the first try, and not at the end alone"
    assert "Socket closed → does it want TLS?" in told[0]
    with connect(f"localhost:{port_of(server)}", certificate=certificate) as client:
        assert client.state.rig == "bare"


def test_other_mistakes_with_certificates_are_told(secured, server, tmp_path_factory):
    tls, certificate = secured
    other, _ = certificate_in(tmp_path_factory.mktemp("other"))
    began = time.monotonic()
    with pytest.raises(ServerGone, match="signed by another"):
        stop_there(f"localhost:{port_of(tls)}", certificate=other, timeout=600)
    with pytest.raises(ServerGone, match="for another name"):
        stop_there(f"127.0.0.1:{port_of(tls)}", certificate=certificate, timeout=600)
    with pytest.raises(ServerGone, match="has no TLS"):
        stop_there(server.address, certificate=certificate, token=ALICE.secret, timeout=600)
    assert time.monotonic() - began < 60


def test_the_port_of_the_page_is_told_at_once(session, capsys):
    with Server(session, page=0) as both:
        page = both.page.removeprefix("http://").strip("/")
        began = time.monotonic()
        assert stop(page, "--timeout", "60") == 1
        assert time.monotonic() - began < 30
        told = capsys.readouterr().err
        assert page in told
        assert "a web server answers there: give the first address that `rdaq serve` prints" in told
        assert not latch.tripped
        with pytest.raises(ServerGone, match="not its page's"):
            connect(page)


@pytest.mark.parametrize("beyond", [99999, 65536, 0, -1])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "dns:///localhost"])
async def test_a_port_that_there_is_none_of_is_refused_and_no_other_server_is_stopped(host, beyond):
    address = f"{host}:{beyond}"
    for call in (connect, stop_there):
        with pytest.raises(LimitError, match=f"there is no port {beyond} → give host:port, 1 to 65535"):
            call(address)
    with pytest.raises(LimitError, match="there is no port"):
        await aconnect(address)


def test_the_rest_of_a_division_is_nobodys_address(server, capsys):
    host, _, port = server.address.rpartition(":")
    assert stop(f"{host}:{int(port) + 65536}", "smoke") == 1
    assert "there is no port" in capsys.readouterr().err
    assert not latch.tripped


@pytest.mark.parametrize("text", [b"hello", b"\xff\xfe", b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_that_is_no_certificate_is_told(tmp_path, capfd, text):
    path = tmp_path / "ca.pem"
    path.write_bytes(text)
    assert main(["ls", "--host", "127.0.0.1:1", "--ca", str(path)]) == 1
    told = capfd.readouterr().err  # gRPC's core would write there, too
    assert told.count("\n") == 1
    assert f"{path}: this is no certificate → give the file of who signed the server's, in PEM" in told


def test_a_certificate_may_have_words_around_it(secured, tmp_path):
    server, certificate = secured
    path = tmp_path / "worded.pem"
    path.write_bytes("issuer: Universität\n".encode() + certificate.read_bytes())
    connect(f"localhost:{port_of(server)}", certificate=path).close()


def test_the_key_is_no_certificate_either(secured):
    server, certificate = secured
    with pytest.raises(RdaqError, match="this is no certificate"):
        connect(server.address, certificate=certificate.with_name("key.pem"))


def test_what_a_handshake_fails_of_is_told_in_one_line(secured, tmp_path_factory):
    """In a process of its own: gRPC's core looks once what it may write."""
    server, _ = secured
    other, _ = certificate_in(tmp_path_factory.mktemp("other"))
    where = ["--host", f"localhost:{port_of(server)}", "--ca", str(other)]
    command = [sys.executable, "-m", "rdaq_ophyd.cli", "ls", *where]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "signed by another" in ended.stderr
