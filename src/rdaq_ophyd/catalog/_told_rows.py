"""How many rows of each of several files of a data key are told of: noted with what Tiled knows of them."""

from __future__ import annotations

from typing import Any

ROWS = "rdaq_rows"
"""Property of a data source of several files: rows of each, in their order."""


def told_rows(data_source: Any) -> tuple[int, ...]:
    """Rows of each file; empty where it was not noted, as of a single file, or by a Tiled without properties."""
    return tuple((getattr(data_source, "properties", None) or {}).get(ROWS, ()))
