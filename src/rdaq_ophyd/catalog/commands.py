"""What the command line does with the catalog."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._layout import data_layout
from ._session import EmbeddedCatalog
from ._shared import shared_catalog


def export(
    run: str,
    folder: str,
    *,
    data_dir: str | None,
    to: str,
    streams: Sequence[str],
    frames: bool,
    force: bool,
) -> int:
    """Export a run and print its files; uses the server of a running session, else starts one for the while.

    :raises RdaqError: as :func:`rdaq_ophyd.catalog.export`, or there is no catalog in the data directory.
    """
    layout = data_layout(data_dir or os.environ.get("RDAQ_DATA") or Path.home() / "rdaq-data")
    if shared_catalog(layout) is None and not (layout.catalog / "catalog.db").exists():
        raise CatalogError(
            f"there is no catalog in the data directory {str(layout.root)!r}", hint="name another one: --data DIR"
        )
    # The client profile stays with the sessions.
    with EmbeddedCatalog(layout.root, profile=None) as catalog:
        for path in catalog.export(run, folder, to=to, streams=streams, frames=frames, force=force):
            sys.stdout.write(f"{path}\n")
    return 0
