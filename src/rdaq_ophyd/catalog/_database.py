"""The catalog's database, made in this process: Tiled's own way starts a second interpreter, which takes seconds."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

logger = logging.getLogger(__name__)


def prepare_database(uri: str) -> None:
    """Create the tables of the catalog at ``uri`` when it has none.

    :raises CatalogError: when an older version of Tiled made it and it must be upgraded first.
    """
    from sqlalchemy.ext.asyncio import create_async_engine
    from tiled.alembic_utils import DatabaseUpgradeNeeded, UninitializedDatabase, check_database, stamp_head
    from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
    from tiled.catalog.core import ALL_REVISIONS, REQUIRED_REVISION, initialize_database
    from tiled.utils import ensure_specified_sql_driver

    with_driver = ensure_specified_sql_driver(uri)

    async def create_if_new() -> bool:
        engine = create_async_engine(with_driver)
        try:
            await check_database(engine, REQUIRED_REVISION, ALL_REVISIONS)
        except UninitializedDatabase:
            await initialize_database(engine)
            return True
        except DatabaseUpgradeNeeded as error:
            raise CatalogError(
                f"the catalog {uri} was made by another version of Tiled: {error}",
                hint=f"copy its file away, then run: tiled catalog upgrade-database {uri}",
            ) from error
        finally:
            await engine.dispose()
        return False

    if asyncio.run(create_if_new()):
        stamp_head(ALEMBIC_INI_TEMPLATE_PATH, ALEMBIC_DIR, with_driver)


def index_tables(path: Path) -> None:
    """Give each table of events an index by run.

    Tiled 0.2.20 gives all its indices one name, so that only the first table gets one; of every other one the rows of
    all runs are looked through to read those of one. ``profiles/scaled/tables.sql`` does the same for PostgreSQL.
    Where the database refuses, that is logged: without indices it is slower, and nothing else.

    :param path: the database of tables; nothing is done where there is none yet.
    """
    if not path.exists():
        return
    try:
        _index_tables(path)
    except sqlite3.Error as error:
        logger.warning("the tables of %r get no indices, reading them is slow: %s", str(path), error)


def _index_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in filter(re.compile(r"table_[0-9a-f]{32}").fullmatch, names):
            database.execute(f'CREATE INDEX IF NOT EXISTS "{name}_rows" ON "{name}" (_dataset_id, _partition_id)')
