"""What a process has when it begins to serve."""

from __future__ import annotations

import gc
from importlib import import_module


def settle(*, page: bool = False) -> None:
    """Nobody looks any more whether what was made until now is garbage: modules, devices and the rest of it stay.

    A full collection would look through all of it, with everything standing still for 0.1 to 0.3 s: samples and frames
    that come meanwhile, and a stop too. This is the last one, so it comes before anybody can call. ``gc.unfreeze`` is
    for a process that goes on when it serves no more.

    :param page: load what the page needs first.
    """
    if page:
        import_module("rdaq_ophyd.server._web")
    gc.collect()
    gc.freeze()
