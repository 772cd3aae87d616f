"""The database of tables: rows of one run are found without looking at those of all."""

import sqlite3
from contextlib import closing

from rdaq_ophyd.catalog._database import index_tables


def test_each_table_of_events_gets_an_index(tmp_path):
    path = tmp_path / "tables.db"
    index_tables(path)
    assert not path.exists()
    names = [f"table_{digit * 32}" for digit in "1a"]
    with closing(sqlite3.connect(path)) as database, database:
        for name in (*names, "_dataset_id_counter", "mine"):
            database.execute(f"CREATE TABLE {name} (_dataset_id INTEGER, _partition_id INTEGER, x REAL)")
        # As Tiled does it: the second one is passed over.
        for name in names:
            database.execute(f"CREATE INDEX IF NOT EXISTS dataset_and_partition_index ON {name}(_dataset_id)")
    for _ in range(2):
        index_tables(path)
    with closing(sqlite3.connect(path)) as database:
        (*_, plan) = database.execute(f"EXPLAIN QUERY PLAN SELECT x FROM {names[1]} WHERE _dataset_id = 1").fetchone()
        assert f"USING INDEX {names[1]}_rows" in plan
        (*_, plan) = database.execute("EXPLAIN QUERY PLAN SELECT x FROM mine WHERE _dataset_id = 1").fetchone()
        assert "INDEX" not in plan


def test_a_database_that_gets_no_index_is_told_of_and_keeps_no_server_from_its_start(tmp_path, caplog):
    path = tmp_path / "tables.db"
    path.write_bytes(b"no database" * 100)
    index_tables(path)
    assert "get no indices" in caplog.text
    assert str(path) in caplog.text
