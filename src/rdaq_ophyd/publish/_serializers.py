"""A document as bytes on the wire."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from rdaq_ophyd.document_lines import plain

__all__ = ["SERIALIZERS", "json_bytes"]


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """JSON, with arrays as lists and ``NaN`` for what is no number; ``json.loads`` reads it.

    :raises TypeError: it holds what JSON has no word for.
    """
    return json.dumps(document, default=plain, separators=(",", ":")).encode()


#: By name. Pickle is what bluesky's dispatcher reads unless told otherwise; who reads it trusts whoever wrote it.
SERIALIZERS: dict[str, Callable[[Mapping[str, Any]], bytes]] = {"pickle": pickle.dumps, "json": json_bytes}
