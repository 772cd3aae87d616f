"""The catalog's database, made in this process: Tiled's own way starts a second interpreter, which takes seconds."""

from __future__ import annotations

import asyncio

from rdaq_ophyd.errors import CatalogError


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
