"""Tiled's configuration for one data directory."""

from __future__ import annotations

from typing import Any

from ._layout import DataLayout


def server_config(layout: DataLayout) -> dict[str, Any]:
    """The configuration that ``tiled serve config`` would take, without the key.

    One SQLite file is the catalog, another holds the tables of events; arrays inside events go to ``catalog/arrays``.
    Only ``frames/`` may be read from outside, nobody reads anonymously, and files are never handed out raw.
    """
    folder = layout.catalog
    return {
        "authentication": {"allow_anonymous_access": False},
        "catalog": {
            "uri": f"sqlite:///{folder / 'catalog.db'}",
            "writable_storage": [str(folder / "arrays"), f"sqlite:///{folder / 'tables.db'}"],
            "readable_storage": [str(layout.frames)],
            # This spec selects the client that knows c[-1], c[scan_id] and c["partial uid"].
            "adapters_by_mimetype": {"application/x-hdf5": "rdaq_ophyd.catalog._hdf5_adapter:DatasetAdapter"},
            "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
        },
        "media_types": {"BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}},
        "routers": ["bluesky_tiled_plugins.routers.validator:router"],
        "streaming_cache": {"uri": "memory"},
        "expose_raw_assets": False,
    }
