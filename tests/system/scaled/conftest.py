"""One lab for all tests of a process: it takes some seconds to come up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scaled import READER, WRITER, Lab, scaled


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """PostgreSQL, Redis and two of Tiled's workers; skipped by name where one is not installed."""
    with scaled() as made:
        yield made


@pytest.fixture(scope="session")
def keys(lab: Lab) -> tuple[str, str]:
    """A rig's key and a reader's."""
    return lab.key("rdaq-writer", WRITER), lab.key("rdaq-reader", READER)
