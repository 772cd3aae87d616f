"""Documents to disk and to Tiled: the spool, its delivery, and the catalog that a session reads from."""

from ._layout import DataLayout, data_layout
from ._rebuild import rebuild
from ._repair import hint_at_repair, repair
from ._session import EmbeddedCatalog, SecretKey
from ._spool import Spool
from ._view import SessionCatalog

__all__ = [
    "DataLayout",
    "EmbeddedCatalog",
    "SecretKey",
    "SessionCatalog",
    "Spool",
    "data_layout",
    "hint_at_repair",
    "rebuild",
    "repair",
]
