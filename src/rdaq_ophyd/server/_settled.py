"""What a process has when it begins to serve."""

from __future__ import annotations

import gc


def settle() -> None:
    """Nobody looks any more whether what was made until now is garbage: modules, devices and the rest of it stay.

    A full collection would look through all of it, with everything standing still for 0.1 to 0.3 s: samples and frames
    that come meanwhile, and a stop too.
    """
    gc.collect()
    gc.freeze()
