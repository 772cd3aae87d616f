"""Documents to disk and to Tiled: the spool, its delivery, the catalog a session reads from, and what leaves it."""

from ._climbing import climbs
from ._export import export, find_run
from ._layout import DataLayout, data_layout
from ._rebuild import rebuild
from ._repair import hint_at_repair, left_open, repair
from ._session import EmbeddedCatalog, SecretKey
from ._spool import Spool
from ._view import SessionCatalog

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
