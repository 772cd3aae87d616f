"""Cookies of the page: signed, good after a restart, and no longer than their token."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from rdaq_ophyd.errors import NotAllowed
from rdaq_ophyd.server import Access, Role, Token, _page_key, _web_door
from rdaq_ophyd.server._page_key import SIZE, page_key
from rdaq_ophyd.server._web_door import REMEMBERED, Door

ADA, BOB = Token("ada", Role.OPERATE, "a" * 40), Token("bob", Role.OBSERVE, "b" * 40)
KEY = b"k" * SIZE


def door(*tokens, key=KEY, port=1):
    return Door(Access(tokens=list(tokens)), port, key)


def who(door, value, port=1):
    cookie = f"rdaq-{port}={value}".encode("latin-1", "replace")
    return door.who(HTTPConnection({"type": "http", "headers": [(b"cookie", cookie)]}))


VALUE = door(ADA).let_in(ADA.secret)


def test_it_is_good_for_its_token_and_after_a_restart():
    value = door(ADA, BOB).let_in(BOB.secret)
    assert who(door(ADA, BOB), value) == BOB
    assert who(door(BOB), value) == BOB


def test_each_login_has_a_value_of_its_own_and_takes_nothing_from_others():
    once = door(ADA, BOB)
    values = {once.let_in(ADA.secret), *(once.let_in(BOB.secret) for _ in range(50))}
    assert len(values) == 51
    assert {who(once, value) for value in values} == {ADA, BOB}


@pytest.mark.parametrize(
    "now",
    [
        Token("ada", Role.OPERATE, "c" * 40),
        Token("ada", Role.OBSERVE, ADA.secret),
        Token("eve", Role.OPERATE, ADA.secret),
    ],
    ids=["another secret", "another role", "another name"],
)
def test_a_token_that_is_changed_ends_its_sessions_and_no_others(now):
    ada, bob = (door(ADA, BOB).let_in(token.secret) for token in (ADA, BOB))
    changed = door(now, BOB)
    with pytest.raises(NotAllowed):
        who(changed, ada)
    assert who(changed, bob) == BOB


def test_while_a_token_is_replaced_sessions_of_both_are_good_and_then_of_the_new_one_alone():
    tokens = [ADA, fresh := Token("ada", Role.OPERATE, "c" * 40)]
    kept = Door(Access(tokens=tokens), 1, KEY)
    old, new = (kept.let_in(token.secret) for token in tokens)
    assert (who(kept, old), who(kept, new)) == (ADA, fresh)
    tokens.remove(ADA)
    assert who(kept, new) == fresh
    with pytest.raises(NotAllowed):
        who(kept, old)


def test_it_ends_with_its_time(monkeypatch):
    monkeypatch.setattr(_web_door.time, "time", lambda: now)
    now = 1e9
    value = door(ADA).let_in(ADA.secret)
    now += REMEMBERED - 1
    assert who(door(ADA), value) == ADA
    now += 2
    with pytest.raises(NotAllowed):
        who(door(ADA), value)


def test_with_another_key_or_on_another_port_it_is_nobodys():
    value = door(ADA).let_in(ADA.secret)
    with pytest.raises(NotAllowed):
        who(door(ADA, key=b"x" * SIZE), value)
    with pytest.raises(NotAllowed):
        who(door(ADA, port=2), value, port=2)
    with pytest.raises(NotAllowed):
        who(Door(Access(tokens=[ADA]), 1), value)


@given(st.integers(0, len(VALUE) - 1), st.characters(codec="latin-1", exclude_categories=["C", "Z"]))
def test_none_that_was_touched_is_good(at, other):
    assume(other not in (VALUE[at], *';,"\\'))
    with pytest.raises(NotAllowed):
        who(door(ADA), VALUE[:at] + other + VALUE[at + 1 :])


@given(st.text(st.characters(codec="latin-1", exclude_categories=["C"])))
def test_whatever_a_browser_sends_is_nobodys(value):
    with pytest.raises(NotAllowed):
        who(door(ADA), value)


def test_the_key_is_kept_for_its_owner_alone(tmp_path):
    folder = tmp_path / "state" / "rdaq"
    key = page_key(folder)
    assert len(key) == SIZE
    assert page_key(folder) == key
    assert [path.name for path in folder.iterdir()] == ["page_key"]
    if os.name == "posix":
        assert stat.S_IMODE((folder / "page_key").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="no permissions of this kind")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_could_read_or_change_is_replaced(tmp_path, caplog, mode):
    before = page_key(tmp_path)
    (tmp_path / "page_key").chmod(mode)
    after = page_key(tmp_path)
    assert after != before
    assert page_key(tmp_path) == after
    assert "others could read or change it; another key takes its place" in caplog.text


@pytest.mark.parametrize("content", [b"", b"short", b"x" * (SIZE + 1)])
def test_what_is_no_key_is_replaced(tmp_path, caplog, content):
    page_key(tmp_path)
    (tmp_path / "page_key").write_bytes(content)
    assert len(page_key(tmp_path)) == SIZE
    assert f"it is no key of {SIZE} bytes" in caplog.text


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such flag")
def test_a_key_elsewhere_is_not_taken(tmp_path, caplog):
    (tmp_path / "elsewhere").write_bytes(KEY)
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / "page_key").symlink_to(tmp_path / "elsewhere")
    assert page_key(tmp_path) != KEY
    assert "asks for tokens again when the rig is started anew" in caplog.text


def test_where_it_cannot_be_kept_it_is_good_for_this_process_and_that_is_told(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    first, second = page_key(tmp_path / "file"), page_key(tmp_path / "file")
    assert len(first) == len(second) == SIZE
    assert first != second
    assert "asks for tokens again when the rig is started anew" in caplog.text


@pytest.fixture
def no_links(monkeypatch):
    def link(*_paths):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


def test_it_is_kept_too_where_there_are_no_hard_links(tmp_path, caplog, no_links):
    key = page_key(tmp_path)
    assert page_key(tmp_path) == key
    assert [path.name for path in tmp_path.iterdir()] == ["page_key"]
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "page_key").stat().st_mode) == 0o600
    assert not caplog.records


def test_the_key_of_a_process_that_was_first_counts_there_too(tmp_path, monkeypatch, caplog):
    first = []

    def link(*_paths):
        monkeypatch.undo()
        first.append(page_key(tmp_path))
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", link)
    assert [page_key(tmp_path)] == first
    assert not caplog.records


def test_what_cannot_be_written_whole_is_not_left(tmp_path, monkeypatch, caplog, no_links):
    monkeypatch.setattr(secrets, "token_bytes", lambda size: b"k" * size)
    full = open("/dev/full", "wb")  # noqa: SIM115 closed by whoever makes a key
    monkeypatch.setattr(_page_key, "open", lambda descriptor, _mode: os.close(descriptor) or full, raising=False)
    assert len(page_key(tmp_path)) == SIZE
    assert not list(tmp_path.iterdir())
    assert "No space left on device; the page asks for tokens again" in caplog.text


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="they are not counted there")
def test_a_folder_in_its_place_is_told_and_no_descriptor_is_left(tmp_path, caplog):
    (tmp_path / "page_key").mkdir()
    page_key(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    page_key(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert "Is a directory; the page asks for tokens again" in caplog.text
