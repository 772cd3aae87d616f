"""A run whose delivery broke off, at whatever request, is completed where it is: nothing is deleted."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import event_model
import httpx
import pyarrow as pa
import pytest
from inblocks import Documents, run_of, whole
from tiled.client import from_uri
from untraced import untraced

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.catalog._credentials import api_key, server_address
from rdaq_ophyd.catalog._layout import DataLayout, data_layout
from rdaq_ophyd.catalog._rebuild import serving
from rdaq_ophyd.catalog._run_writer import RunDelivery, _same_files
from rdaq_ophyd.catalog._told_rows import told_rows
from rdaq_ophyd.errors import CatalogError

pytestmark = pytest.mark.timeout(120)
FULL = bool(os.environ.get("RDAQ_TEST_FULL"))


class Wire:
    """Loses the answer to one request. To the catalog this is the same as a cut before the next one."""

    def __init__(self, http: httpx.Client) -> None:
        self._send = http.send
        self.requests: list[tuple[str, str]] = []
        self.cut_at = -1
        http.send = self.send

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        answer = self._send(request, **options)
        if len(self.requests) - 1 == self.cut_at:
            raise httpx.ReadError("cut", request=request)
        return answer

    def ready(self, cut_at: int = -1) -> None:
        self.requests.clear()
        self.cut_at = cut_at


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> DataLayout:
    return data_layout(tmp_path_factory.mktemp("data")).prepare()


@pytest.fixture(scope="module")
def client(layout: DataLayout) -> Iterator[Any]:
    """A rig's own Tiled, and a client whose patience is one attempt."""
    with pytest.MonkeyPatch.context() as patch, untraced(), serving(layout):
        patch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
        made = from_uri(server_address(layout).uri, api_key=api_key(layout), include_data_sources=True)
        yield made
        made.context.close()


@pytest.fixture(scope="module")
def wire(client: Any) -> Wire:
    return Wire(client.context.http_client)


@pytest.fixture
def write(client: Any) -> Callable[[list[Documents]], None]:
    """Deliver the blocks of a run, as a worker that begins with the first."""

    def deliver(blocks: list[Documents]) -> None:
        delivery = RunDelivery(client, blocks[0][0][1]["uid"])
        for block in blocks:
            delivery.write(copy.deepcopy(block))

    return deliver


def rows_of(table: Any) -> pa.Table:
    return pa.Table.from_pandas(table.read(), preserve_index=False).select(table.columns)


def test_a_cut_at_any_request_loses_and_doubles_nothing(client, wire, layout, write) -> None:
    wire.ready()
    write(undisturbed := run_of(layout.frames))
    assert whole(client, undisturbed)
    last = max(number for number, (method, _) in enumerate(wire.requests) if method == "PATCH")
    # An array made and not written, appended rows, a changed configuration, the end.
    for number in range(last + 1) if FULL else (2, 5, 13, last):
        blocks = run_of(layout.frames)
        wire.ready(number)
        with pytest.raises(httpx.TransportError):
            write(blocks)
        wire.ready()
        write(blocks)
        assert not any(method == "DELETE" and "/stream/close/" not in path for method, path in wire.requests)
        assert whole(client, blocks), number


def test_rows_that_a_late_request_doubled_are_written_anew(client, wire, layout, write) -> None:
    wire.ready()
    blocks = run_of(layout.frames)
    write(blocks[:2])
    run = client[blocks[0][0][1]["uid"]]
    tables = [run[stream].base["internal"] for stream in ("primary", "baseline")]
    delivery = RunDelivery(client, blocks[0][0][1]["uid"])
    for block in blocks[:3]:
        delivery.write(copy.deepcopy(block))
    for table in tables:
        table.append_partition(0, rows_of(table).slice(0, 1))  # a request from before the outage, carried out now
    with pytest.raises(CatalogError, match="had 9 rows .* for 8 events"):
        delivery.write(copy.deepcopy(blocks[3]))
    assert "stop" not in client[blocks[0][0][1]["uid"]].metadata
    write(blocks)  # all wrong parts cost one attempt
    assert whole(client, blocks)


def test_rows_that_do_not_tell_their_event_are_written_anew(client, wire, layout, write, monkeypatch) -> None:
    """Of a table that was split for its many columns; else a doubled row would stand for one that is missing."""
    monkeypatch.setattr("bluesky_tiled_plugins.writing.tiled_writer.MAX_TABLE_COLUMNS", 3)
    wire.ready()
    blocks = run_of(layout.frames)
    write(blocks[:2])
    primary = client[blocks[0][0][1]["uid"]]["primary"].base
    assert primary["internal_1"].columns == ["ts_x", "x"]
    primary["internal_1"].append_partition(0, rows_of(primary["internal_1"]).slice(2, 2))
    write(blocks)
    assert primary["internal_1"].read()["x"].tolist() == [point / 4 for point in range(8)]
    assert sorted(primary["internal_0"].read()["seq_num"]) == list(range(1, 9))


def test_a_column_of_another_type_than_its_first_rows_is_named(client, wire, write) -> None:
    wire.ready()
    run = event_model.compose_run()
    keys = {"n": {"source": "SIM", "dtype": "integer", "shape": []}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    first, second = ([("event", stream.compose_event(data={"n": n}, timestamps={"n": 0.0}))] for n in (1, 1.5))
    blocks = [[("start", run.start_doc), ("descriptor", stream.descriptor_doc), *first], second]
    write(blocks[:1])
    with pytest.raises(CatalogError, match="/primary/internal .* its column n is of int64") as caught:
        write(blocks)
    assert "administrator has deleted the run, it is written whole" in caught.value.hint


def test_another_run_of_the_same_uid_is_left_alone(client, wire, layout, write) -> None:
    wire.ready()
    blocks = run_of(layout.frames)
    write(blocks)
    other = run_of(layout.frames, blocks[0][0][1]["uid"])
    with pytest.raises(CatalogError, match="another run") as caught:
        write(other)
    assert "its own uid" in caught.value.hint
    assert whole(client, blocks)


def test_a_shared_catalog_shows_runs_and_nothing_else(client, wire, layout, write, tmp_path, monkeypatch):
    wire.ready()
    write(blocks := run_of(layout.frames))
    uid = blocks[0][0][1]["uid"]
    client.create_container(key="rdaq-check", metadata={"made_by": "check"})
    text = f'format = 1\nuri = "{server_address(layout).uri}"\nkey_env = "SHARED"\n'
    (tmp_path / "catalog.toml").write_text(text)
    monkeypatch.setenv("SHARED", api_key(layout))
    with EmbeddedCatalog(tmp_path, profile=None) as catalog:
        assert uid in list(catalog.everything)
        assert "rdaq-check" not in list(catalog.everything)
        assert whole(catalog.c, blocks)
        assert catalog.c[uid[:8]].metadata["start"]["uid"] == uid
        with pytest.raises(KeyError):
            _ = catalog.c["rdaq-check"]
    assert "rdaq-check" in list(client)


def test_an_array_of_other_files_is_named_and_left_alone(client, wire, layout, write) -> None:
    wire.ready()
    blocks = run_of(layout.frames)
    write(blocks[:1])
    moved = copy.deepcopy(blocks)
    for name, document in (each for block in moved for each in block):
        if name == "stream_resource":
            document["uri"] = document["uri"].replace("/frames/", "/frames/elsewhere/")
    with pytest.raises(
        CatalogError, match=r"reads .*/primary/cam from .*/frames/0.h5, and .*/elsewhere/0.h5"
    ) as caught:
        write(moved)
    assert "was [paths] changed?" in caught.value.hint
    write(blocks)
    assert whole(client, blocks)


def test_an_array_shrinks_at_the_end_alone(client, wire, layout, write) -> None:
    """A repair may find that a file has fewer rows than were told of."""
    wire.ready()
    blocks = run_of(layout.frames)
    write(blocks[:2])
    uid = blocks[0][0][1]["uid"]
    stop = blocks[3].pop()
    repaired = [[each for each in block if each[0] != "stream_datum"] for block in blocks]
    repaired[0].append(next(each for each in blocks[0] if each[0] == "stream_datum"))
    delivery = RunDelivery(client, uid)
    for block in repaired:
        delivery.write(copy.deepcopy(block))
        assert len(client[uid]["primary"].base["cam"]) == 4
    delivery.write([stop])
    assert len(client[uid]["primary"].base["cam"]) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_a_file_of_which_a_repair_kept_no_row_has_none_at_the_end(client, wire, layout, write, number) -> None:
    wire.ready()
    blocks = run_of(layout.frames)
    write(blocks[: 2 * number + 1])
    cam = client[blocks[0][0][1]["uid"]]["primary"].base["cam"]
    assert len(cam) == 4 * number + 2
    resources = [document["uid"] for block in blocks for name, document in block if name == "stream_resource"]
    lost = resources[number:]
    repaired = [[each for each in block if each[1].get("stream_resource") not in lost] for block in blocks]
    write(repaired)
    cam.refresh()
    assert len(cam) == 4 * number
    assert told_rows(cam.data_sources()[0]) == ((4, 0) if number else ())


def test_an_array_of_fewer_files_is_told_as_such() -> None:
    node = SimpleNamespace(path_parts=["u", "primary", "cam"])
    _same_files(node, ["a", "b"], ["a"], all_of_them=False)
    with pytest.raises(CatalogError, match="from 2 files, the run has 1 of them") as caught:
        _same_files(node, ["a", "b"], ["a"], all_of_them=True)
    assert "repaired run has fewer files" in caught.value.hint
    with pytest.raises(CatalogError) as caught:
        _same_files(node, ["a", "b"], ["c"], all_of_them=True)
    assert "[paths]" in caught.value.hint
