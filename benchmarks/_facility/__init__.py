"""How far a catalog goes: rigs, runs, frames and readers against both set-ups, in one run, on loopback.

``python -m benchmarks facility``. The set-ups are the rig's own catalog (a child Tiled on SQLite) and the shared one of
``profiles/scaled`` (Tiled on PostgreSQL and Redis). How the shared one is started is what the tests use:
``tests/lib/scaled.py``, so this needs what they need.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LIB = str(ROOT / "tests" / "lib")

if _LIB not in sys.path:
    sys.path.append(_LIB)
