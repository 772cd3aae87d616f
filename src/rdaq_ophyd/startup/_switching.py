"""How long a thread that computes may keep the others waiting."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL = 0.001
"""Seconds; Python's own default of 5 ms is paid at each of the handful of places where a stop waits for its lock."""


@contextmanager
def short_turns() -> Iterator[None]:
    """While the block runs, a thread in pure Python gives way every millisecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, INTERVAL))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
