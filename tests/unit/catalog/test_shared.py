"""``catalog.toml``: what it may say, where keys come from, and how the server names a rig's files."""

from __future__ import annotations

import os
import socket
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.catalog import data_layout, rebuild
from rdaq_ophyd.catalog._path_map import PathMap
from rdaq_ophyd.catalog._shared import KeySource, place, read_shared, shared_catalog
from rdaq_ophyd.client._catalog import open_catalog
from rdaq_ophyd.errors import CatalogError, NotAllowed
from rdaq_ophyd.wire import messages

SCALED = Path(__file__).parents[3] / "profiles" / "scaled"
LEAST = 'format = 1\nuri = "https://c.example/api/v1/"\nkey_env = "KEY"\n'


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "catalog.toml"
        path.write_text(text)
        return path

    return write


def test_the_shipped_one_is_right():
    shared = read_shared(SCALED / "catalog.toml")
    assert shared.writer.file == SCALED / "writer.key"
    assert shared.reader.file == SCALED / "reader.key"
    assert str(shared.paths.there(Path("/data/lab1/frames/cam/1.h5"))) == "/srv/rdaq/frames/lab1/cam/1.h5"


def test_the_least_that_it_may_say(written):
    shared = read_shared(written(LEAST))
    assert shared.uri == "https://c.example/api/v1"
    assert shared.writer == KeySource(None, "KEY")
    assert not shared.reader
    assert str(shared.paths.there(Path("/a/b"))) == "/a/b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = ", "catalog.toml: "),
        ("uri = 1", "format: Field required"),
        (LEAST.replace("format = 1", "format = 2"), "format: Input should be 1 (it is 2)"),
        (LEAST.replace("https", "ftp"), "uri: String should match pattern"),
        (LEAST + 'api_key = "password"', "api_key: Extra inputs are not permitted"),
        (LEAST.replace("https", "http"), "the key would go over the network in the clear"),
        (LEAST.replace('key_env = "KEY"', ""), "neither key_file nor key_env"),
        (LEAST + 'key_file = "k"', "both key_file and key_env"),
        (LEAST + 'reader_key_env = "A"\nreader_key_file = "k"', "both reader_key_file and reader_key_env"),
        (LEAST + '[paths]\n"frames" = "/srv"', "'frames' is no absolute path"),
        (LEAST + '[paths]\n"/data" = "/srv/../etc"', "is no absolute path"),
        (LEAST + '[paths]\n"/data" = 1', "paths./data: Input should be a valid string"),
        (LEAST.replace("c.example", "user:word@c.example"), "the address holds a key or a name"),
        (LEAST.replace("v1/", "v1?api_key=1"), "the address holds a key or a name"),
    ],
)
def test_what_it_may_not_say(written, text, said):
    with pytest.raises(CatalogError) as caught:
        read_shared(written(text))
    assert said in str(caught.value)
    assert "→" in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("[::1]", True), ("localhost", True), ("10.0.0.1", False), ("c.example", False)],
)
def test_addresses_that_mean_another_machine_elsewhere(written, host, loopback):
    assert read_shared(written(LEAST.replace("c.example", host))).on_loopback is loopback


def test_the_address_of_a_shared_one_is_the_same_for_clients_on_other_machines():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}/api/v1"
    with pytest.raises(NotAllowed, match="of the server's own machine"):
        open_catalog(messages.Catalog(uri=uri, key="k", host="another"), None)
    with pytest.raises(CatalogError, match="refused"):
        open_catalog(messages.Catalog(uri=uri, key="k"), None)


def test_a_file_that_is_not_there(tmp_path):
    assert shared_catalog(data_layout(tmp_path)) is None
    with pytest.raises(CatalogError, match="cannot be read"):
        read_shared(tmp_path / "none.toml")


def test_a_key_is_read_anew_each_time(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.touch(0o600)
    source = KeySource(path)
    with pytest.raises(CatalogError, match="holds no key"):
        source.read()
    for key in ("ab12", "cd34"):
        path.write_text(f"{key}\n")
        assert source.read() == key
    monkeypatch.setenv("SOME_KEY", "ef56")
    assert KeySource(None, "SOME_KEY").read() == "ef56"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "key"
    path.write_text("ab12")
    os.chmod(path, mode)
    with pytest.raises(CatalogError, match="can be read by others"):
        KeySource(path).read()


@pytest.mark.parametrize(("content", "said"), [("a b", "something else than a key"), ("", "holds no key")])
def test_what_is_no_key_is_not_shown(tmp_path, content, said):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(CatalogError, match=said) as caught:
        KeySource(path).read()
    assert not content or content not in str(caught.value)


def test_a_key_of_another_kind_of_file(tmp_path):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogError, match="cannot be read"):
        KeySource(path).read()


def test_what_is_placed_reads_the_same_from_elsewhere(written, tmp_path):
    text = (
        LEAST.replace('key_env = "KEY"', 'key_file = "my \\"key\\""') + 'reader_key_env = "R"\n[paths]\n"/a b" = "/c"\n'
    )
    shared = read_shared(written(text))
    there = tmp_path / "data" / "catalog.toml"
    there.parent.mkdir()
    place(shared, there)
    again = read_shared(there)
    assert (again.uri, again.writer, again.reader, again.paths) == (
        *(shared.uri, shared.writer, shared.reader),
        shared.paths,
    )
    before = there.stat().st_mtime_ns
    place(again, there)  # where it was read from: comments of the user stay
    assert there.stat().st_mtime_ns == before


def test_the_catalog_of_others_is_not_rebuilt(tmp_path, written):
    written(LEAST)
    with pytest.raises(CatalogError, match="whose database others keep"):
        next(rebuild(data_layout(tmp_path).prepare()))


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
)
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: PurePosixPath("/", *parts))


@given(paths, paths, paths)
def test_a_file_keeps_its_name_below_the_folder(here, there, inside):
    below = PurePosixPath(*inside.parts[1:])
    mapped = PathMap.of({str(here): str(there)})
    assert mapped.there(here / below) == there / below
    uri = mapped.uri("file://localhost" + quote(str(here / below)))
    assert unquote(urlsplit(uri).path) == str(there / below)
    assert uri.startswith("file://localhost/")


@given(paths, paths)
def test_the_deepest_folder_counts(here, there):
    mapped = PathMap.of({str(here): "/wide", str(here / "deep"): str(there)})
    assert mapped.there(here / "deep" / "x") == there / "x"
    assert mapped.there(here / "x") == PurePosixPath("/wide/x")
    assert mapped.there(PurePosixPath(f"{here}x")) == PurePosixPath(f"{here}x")  # a longer name is no part of it


def test_other_addresses_stay():
    mapped = PathMap.of({"/data": "/srv"})
    for uri in ("https://host/data/1.h5", "file://localhost/elsewhere/1.h5"):
        assert mapped.uri(uri) == uri
    assert mapped.uri("file:///data/folder/") == "file:///srv/folder/"
    assert mapped.resource({"uri": "file://localhost/data/a%20b.h5", "uid": "1"}) == {
        "uri": "file://localhost/srv/a%20b.h5",
        "uid": "1",
    }
