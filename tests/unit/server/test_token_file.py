"""A file of tokens that is changed while the server runs."""

import os
import secrets

import pytest

from rdaq_ophyd.errors import NotAllowed, RdaqError
from rdaq_ophyd.server import Access, Role, TokenFile

OLD, NEW, BOB = (letter * 40 for letter in "obn")


def written(path, **tables):
    """Beside it, then in its place, as an editor does it."""
    lines = [f'[{name}]\nrole = "{role}"\ntoken = {token!r}\n' for name, (role, token) in tables.items()]
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    fresh.write_text("".join(lines))
    fresh.chmod(0o600)
    fresh.replace(path)
    return path


def shown(secret):
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "tokens.toml", alice=("operate", OLD), bob=("observe", BOB))


def test_a_token_is_replaced_with_both_valid_in_between(path):
    access = Access(tokens=TokenFile(path))
    assert access.who(shown(OLD)).name == "alice"
    with pytest.raises(NotAllowed):
        access.who(shown(NEW))
    written(path, alice=("operate", [OLD, NEW]), bob=("observe", BOB))
    assert [access.who(shown(secret)).name for secret in (OLD, NEW, BOB)] == ["alice", "alice", "bob"]
    written(path, alice=("operate", NEW), bob=("observe", BOB))
    assert access.who(shown(NEW)).role is Role.OPERATE
    with pytest.raises(NotAllowed):
        access.who(shown(OLD))


def test_who_was_let_in_is_known_until_the_token_is_taken_away(path):
    access = Access(tokens=TokenFile(path))
    alice = access.who(shown(OLD))
    access.check_known(alice)
    written(path, alice=("observe", OLD))  # another role is another token
    with pytest.raises(NotAllowed, match="the token of alice is no longer valid → ask for the new one"):
        access.check_known(alice)


def test_a_change_in_place_is_seen(path):
    tokens = TokenFile(path)
    with open(path, "a") as file:
        file.write(f'[carol]\nrole = "observe"\ntoken = "{NEW}"\n')
    assert [token.name for token in tokens] == ["alice", "bob", "carol"]
    assert (len(tokens), tokens[-1].name, tokens[0:1][0].name) == (3, "carol", "alice")


@pytest.mark.parametrize("spoil", ["missing", "readable", "nonsense", "empty"])
def test_a_file_that_is_none_any_more_locks_nobody_out_and_is_told_once(path, caplog, spoil):
    access = Access(tokens=TokenFile(path))
    if spoil == "missing":
        path.unlink()
    elif spoil == "readable":
        os.chmod(path, 0o644)
    else:
        path.write_text("[alice" if spoil == "nonsense" else "")
    for _ in range(3):
        assert access.who(shown(OLD)).name == "alice"
        with pytest.raises(NotAllowed):
            access.who({})
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert "the tokens that were valid before stay valid" in said[0]
    written(path, bob=("observe", BOB))
    with pytest.raises(NotAllowed):
        access.who(shown(OLD))
    assert "no longer valid: alice" in caplog.text


def test_the_log_names_people_and_no_token(path, caplog):
    tokens = TokenFile(path)
    written(path, alice=("operate", NEW), bob=("observe", BOB))
    assert len(tokens) == 2
    assert [r.message.split(": ", 1)[1] for r in caplog.records] == [
        "tokens new: alice",
        "tokens no longer valid: alice",
    ]
    assert OLD not in caplog.text
    assert NEW not in caplog.text


def test_a_file_that_holds_no_tokens_at_the_start_is_refused(tmp_path):
    empty = written(tmp_path / "tokens.toml")
    with pytest.raises(RdaqError, match="holds no token"):
        TokenFile(empty)
