"""Who may come in: nobody from elsewhere without token and TLS; an observer looks and stops, no more."""

import os

import pytest

from rdaq_ophyd.errors import LimitError, NotAllowed, RdaqError
from rdaq_ophyd.server import Access, Role, Token, read_tokens
from rdaq_ophyd.server._access import OBSERVING, SHORTEST
from rdaq_ophyd.server.commands import Options
from rdaq_ophyd.wire import SERVICE, messages

ALICE = Token("alice", Role.OPERATE, "a" * SHORTEST)
BOB = Token("bob", Role.OBSERVE, "b" * SHORTEST)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "lab.example", ""])
@pytest.mark.parametrize("more", [{}, {"tokens": [ALICE]}, {"certificate": "c", "key": "k"}])
def test_another_address_than_loopback_needs_both(host, more):
    with pytest.raises(NotAllowed, match="can be reached from other machines"):
        Access(host, **more)
    assert Access(host, tokens=[ALICE], certificate="c", key="k").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_loopback_needs_neither(host):
    assert Access(host).who({}) == Token("local", Role.OPERATE, "")


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_there_is_not_is_no_other_one(port):
    with pytest.raises(LimitError, match=f"port {port} → give 1 to 65535"):
        Access(port=port)


def test_a_certificate_needs_its_key(tmp_path):
    with pytest.raises(NotAllowed, match="give both"):
        Access(certificate=tmp_path / "c")
    with pytest.raises(RdaqError, match="No such file"):
        Access(certificate=tmp_path / "c", key=tmp_path / "k").credentials()


def test_only_a_known_token_is_somebody():
    access = Access(tokens=[ALICE, BOB])
    assert access.who({"authorization": f"Bearer {ALICE.secret}"}) is ALICE
    assert access.who({"authorization": f"Bearer {BOB.secret}"}) is BOB
    for text in ("", "Bearer ", "Bearer " + "c" * SHORTEST, "Bearer ä", ALICE.secret[:-1]):
        shown = {"authorization": text} if text else {}
        with pytest.raises(NotAllowed, match="no known token"):
            access.who(shown)
    assert ALICE.secret not in repr(access)


def test_an_observer_may_look_and_stop_everything_and_no_more():
    calls = [method.name for method in messages.DESCRIPTOR.services_by_name["Daq"].methods]
    assert set(calls) >= OBSERVING
    assert SERVICE == "rdaq.v1.Daq"
    for call in calls:
        Access.check(ALICE, call)
        if call in OBSERVING:
            Access.check(BOB, call)
        else:
            hint = "stop everything, which everybody may" if call == "StopDevice" else "ask for a token"
            with pytest.raises(NotAllowed, match=f"bob may observe; {call} is to operate → {hint}"):
                Access.check(BOB, call)
    assert "StopAll" in OBSERVING


def tokens_in(tmp_path, text, mode=0o600):
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    os.chmod(path, mode)
    return path


def test_tokens_are_read_from_a_file_of_ones_own(tmp_path):
    text = f'[alice]\nrole = "operate"\ntoken = "{ALICE.secret}"\n[bob]\nrole = "observe"\ntoken = "{BOB.secret}"\n'
    assert read_tokens(tokens_in(tmp_path, text)) == [ALICE, BOB]
    with pytest.raises(RdaqError, match="others may read it → chmod 600"):
        read_tokens(tokens_in(tmp_path, text, 0o640))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice = 1\n", r"\[alice\] needs role and token"),
        ('[alice]\nrole = "operate"\n', r"\[alice\] needs role and token"),
        ('[alice]\nrole = "root"\ntoken = "x"\n', "role 'root' → one of observe, operate"),
        ('[alice]\nrole = "operate"\ntoken = "short"\n', "token has 5 characters → give at least 32"),
        ('[alice]\nrole = "observe"\ntoken = []\n', r"\[alice\] needs role and token"),
        (f'[alice]\nrole = "observe"\ntoken = ["{ALICE.secret}", 1]\n', r"\[alice\] needs role and token"),
        (f'[alice]\nrole = "observe"\ntoken = ["{ALICE.secret}", "short"]\n', "token has 5 characters"),
        ("# nobody\n", "holds no token → give a table for each person"),
        ("[alice\n", "give a TOML file"),
    ],
)
def test_a_file_that_holds_no_tokens_is_refused(tmp_path, text, said):
    with pytest.raises(RdaqError, match=said):
        read_tokens(tokens_in(tmp_path, text))
    with pytest.raises(RdaqError, match="No such file"):
        read_tokens(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "public",
    [
        "rig.lab.example",
        "http://rig.lab.example",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://me@a",
        "https://a:b",
    ],
)
def test_a_proxy_has_an_address_with_tls_and_no_more(public):
    with pytest.raises(LimitError, match="is no address of a proxy → such as https://rig.lab.example"):
        Access(tokens=[ALICE], public=public)


def test_behind_a_proxy_nobody_comes_in_without_a_token():
    with pytest.raises(NotAllowed, match="can be reached from other machines → give tokens"):
        Access(public="https://rig.lab.example")
    assert Access(tokens=[ALICE], public="https://rig.lab.example:8443/").is_loopback


def test_the_command_line_follows_the_file_of_tokens_and_knows_its_proxy(tmp_path):
    path = tokens_in(tmp_path, f'[alice]\nrole = "operate"\ntoken = "{ALICE.secret}"\n')
    access = Options("sim", tokens=str(path), public="https://rig.lab.example").access()
    assert access.public == "https://rig.lab.example"
    assert list(access.tokens) == [ALICE]
    tokens_in(tmp_path, f'[bob]\nrole = "observe"\ntoken = "{BOB.secret}"\n')
    assert list(access.tokens) == [BOB]
