"""Documents to disk and to Tiled: the spool, its delivery, the catalog a session reads from, and what leaves it."""

from typing import TYPE_CHECKING

from rdaq_ophyd._later import later

from ._layout import DataLayout, data_layout
from ._repair import hint_at_repair, left_open, repair
from ._session import EmbeddedCatalog, SecretKey
from ._spool import Spool
from ._view import SessionCatalog

if TYPE_CHECKING:
    from ._climbing import climbs
    from ._export import export, find_run
    from ._rebuild import rebuild
else:
    # What a session does not need.
    __getattr__ = later(__name__, climbs="_climbing", export="_export", find_run="_export", rebuild="_rebuild")

__all__ = [
    "DataLayout",
    "EmbeddedCatalog",
    "SecretKey",
    "SessionCatalog",
    "Spool",
    "climbs",
    "data_layout",
    "export",
    "find_run",
    "hint_at_repair",
    "left_open",
    "rebuild",
    "repair",
]
