"""A rig that writes into the shared catalog by configuration alone: the same session, another place."""

from __future__ import annotations

import copy
import os
import secrets
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from inblocks import run_of, whole
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import SimBlobDetector, SimMotor
from scaled import READER, WRITER, Lab, until
from sharingrigs import Directory, check_run, record
from tiled.client import from_profile, from_uri

from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.catalog._run_writer import RunDelivery
from rdaq_ophyd.catalog._shared import read_shared
from rdaq_ophyd.errors import CatalogError

pytestmark = [pytest.mark.usefixtures("untraced"), pytest.mark.timeout(300)]


def test_a_scan_with_frames_reads_as_from_a_catalog_of_its_own(
    engine: RunEngine, lab: Lab, keys, tmp_path: Path
) -> None:
    rig = Directory(lab, tmp_path / "lab1", "lab1", keys=keys)
    engine.md["rig"] = {"name": "lab1"}
    with EmbeddedCatalog(rig.root, rig="lab1") as catalog:
        engine.subscribe(catalog.spool)
        with init_devices():
            camera = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), catalog.layout.frames), name="camera")
            motor = SimMotor(name="stage", instant=True)

        def plan():
            yield from bps.stage(camera)
            yield from bps.open_run()
            for point in range(4):
                yield from bps.mv(motor, float(point))
                yield from bps.trigger_and_read([camera, motor])
            yield from bps.close_run()
            yield from bps.unstage(camera)

        (uid,) = engine(plan()).run_start_uids
        assert catalog.wait_drained(timeout=90), catalog.last_error()
        assert catalog.c[-1].metadata["start"]["uid"] == uid
        data = catalog.c[-1].primary.read()
        assert data["stage"].values.tolist() == [0.0, 1.0, 2.0, 3.0]
        assert data["camera"].shape[0] == 4
        (asset,) = catalog.c[-1].primary["camera"].data_sources()[0].assets
        assert asset.data_uri.startswith(f"file://localhost{rig.there}/")  # the server's name of it
        # The user's own name for it leads there with the key for readers.
        mine = from_profile("rdaq")
        assert uid in mine
        mine.context.close()
        assert str(catalog.api_key) == rig.reader
        assert not (rig.root / "catalog" / "server.lock").exists()  # no server of ours was started


def test_a_run_that_is_there_in_half_is_completed_with_a_key_that_may_not_delete(
    lab: Lab, keys, tmp_path: Path
) -> None:
    rig = Directory(lab, tmp_path / "half", "half", keys=keys)
    shared = read_shared(rig.root / "catalog.toml")
    client = shared.connect()
    blocks = run_of(rig.frames, ragged=True)
    uid = blocks[0][0][1]["uid"]
    for some in (blocks[:3], blocks, blocks):  # also over one that is there as a whole
        delivery = RunDelivery(client, uid, paths=shared.paths)
        for block in some:
            delivery.write(copy.deepcopy(block))
    assert whole(client, blocks)
    headers = {"Authorization": f"Apikey {rig.writer}"}
    address = f"{lab.tiled.uri}/metadata/{uid}?recursive=true&external_only=false"
    assert httpx.delete(address, headers=headers, timeout=30).status_code == 401
    client.context.close()


def test_each_table_of_events_has_an_index_whoever_makes_it(lab: Lab) -> None:
    def sql(*words: str) -> list[str]:
        return lab.postgres.sql("rdaq_tables", "-c", "; ".join(words)).split()

    name = f"table_{secrets.token_hex(16)}"  # as Tiled names them
    columns = "(_dataset_id integer, _partition_id smallint)"
    sql("CREATE ROLE nobody_in_particular", "GRANT CREATE ON SCHEMA public TO nobody_in_particular")
    sql("SET ROLE nobody_in_particular", *[f"CREATE TABLE IF NOT EXISTS {name} {columns}"] * 2)
    found = "SELECT indexname FROM pg_indexes WHERE tablename ~ '^table_' AND indexname ~ '_rows$'"
    assert f"{name}_rows" in sql(found)
    assert len(sql(found)) == len(sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^table_'"))
    sql(f"DROP TABLE {name}", "DROP OWNED BY nobody_in_particular", "DROP ROLE nobody_in_particular")


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # Tiled's client calls websockets in an old way
def test_a_reader_follows_a_run_with_tileds_own_client(lab: Lab, keys, tmp_path: Path) -> None:
    rig = Directory(lab, tmp_path / "followed", "followed", keys=keys)
    shared = read_shared(rig.root / "catalog.toml")
    writer, reader = shared.connect(), from_uri(lab.tiled.uri, api_key=rig.reader)
    blocks = run_of(rig.frames)
    delivery = RunDelivery(writer, blocks[0][0][1]["uid"], paths=shared.paths)
    for block in blocks[:2]:
        delivery.write(block)
    subscription = reader[blocks[0][0][1]["uid"]]["primary"].base["cam"].subscribe()
    told: list[int] = []

    def more(update: Any) -> None:
        told.append(update.shape[0])

    subscription.new_data.add_callback(more)
    # In a thread of ours: where it may not, Tiled's own waits for ever.
    threading.Thread(target=subscription.start, daemon=True).start()
    try:
        until(subscription._connected_event.is_set, 30, what="the connection of the reader")
        for block in blocks[2:]:
            delivery.write(block)
        until(lambda: told and told[-1] == 8, 30, what="word of the last frame")
        # A key that it makes is worth no more than its own.
        made = reader.context.create_api_key(expires_in=60)
        headers = {"Authorization": f"Apikey {made['secret']}"}
        new = {"structure_family": "container", "metadata": {}, "data_sources": [], "specs": []}
        assert httpx.get(f"{lab.tiled.uri}/metadata/", headers=headers, timeout=30).status_code == 200
        assert httpx.post(f"{lab.tiled.uri}/metadata/", json=new, headers=headers, timeout=30).status_code == 401
    finally:
        subscription.disconnect()
        for client in (writer, reader):
            client.context.close()


def test_c_shows_the_rigs_own_runs_and_everything_shows_all(lab: Lab, keys, tmp_path: Path) -> None:
    uids = {}
    for name in ("east", "west"):
        with Directory(lab, tmp_path / name, name, keys=keys).catalog() as catalog:
            uids[name] = record(catalog, 7)
            assert catalog.wait_drained(timeout=90), catalog.last_error()
            assert catalog.c[7].metadata["start"]["uid"] == uids[name]
            assert list(catalog.c) == [uids[name]]
            check_run(catalog.c, uids[name])
            assert set(uids.values()) <= set(catalog.everything)


def test_without_a_key_for_readers_the_rigs_own_key_is_handed_to_nobody(lab: Lab, keys, tmp_path: Path) -> None:
    rig = Directory(lab, tmp_path / "lab2", "lab2", keys=keys)
    rig.configure(reader_key_file="")
    with rig.catalog() as catalog:
        catalog.ready()
        assert list(catalog.c) == []
        with pytest.raises(CatalogError, match="names no key for readers"):
            _ = catalog.api_key


def test_what_the_keys_may_do(lab: Lab, keys, tmp_path: Path) -> None:
    """The scopes that Tiled has, and that its ordinary role has not."""
    rig = Directory(lab, tmp_path / "lab3", "lab3", keys=keys)
    with rig.catalog() as catalog:
        uid = record(catalog, 1)
        assert catalog.wait_drained(timeout=90), catalog.last_error()

    def ask(method: str, path: str, key: str, **options) -> int:
        headers = {"Authorization": f"Apikey {key}"} if key else {}
        return httpx.request(method, lab.tiled.uri + path, headers=headers, timeout=30, **options).status_code

    new = {"structure_family": "container", "metadata": {}, "data_sources": [], "specs": []}
    assert ask("GET", f"/metadata/{uid}", rig.reader) == 200
    assert ask("GET", f"/array/full/{uid}/primary/cam?format=application/octet-stream", rig.reader) == 200
    assert ask("DELETE", f"/metadata/{uid}?recursive=true&external_only=false", rig.reader) == 401
    assert ask("POST", "/metadata/", rig.reader, json=new) == 401
    assert ask("GET", f"/metadata/{uid}", "") == 401
    assert ask("GET", f"/asset/bytes/{uid}/primary/cam?id=1", rig.reader) == 403
    assert ask("GET", f"/asset/bytes/{uid}/primary/cam?id=1", rig.writer) == 403
    assert ask("POST", "/auth/principal?role=admin", rig.writer) == 401
    # Tiled's own role for users: not one key of it could register a file.
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        lab.key("user", WRITER)
    assert ask("GET", f"/metadata/{uid}", lab.key("user", READER)) == 200


def test_a_key_that_others_can_read_is_refused_before_anything_is_sent(lab: Lab, keys, tmp_path: Path) -> None:
    rig = Directory(lab, tmp_path / "lab4", "lab4", keys=keys)
    os.chmod(lab.key_file(rig.writer), 0o644)
    with rig.catalog(patience=0.0) as catalog:
        record(catalog, 1)
        for _ in range(600):
            if catalog.last_error():
                break
            assert not catalog.wait_drained(timeout=0.05)
        assert "can be read by others" in catalog.last_error()
        os.chmod(lab.key_file(rig.writer), 0o600)
        assert catalog.wait_drained(timeout=60), catalog.last_error()
