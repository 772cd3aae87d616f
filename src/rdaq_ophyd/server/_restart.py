"""What a daemon that died left open is closed before the next one begins: nobody is there to do it by hand."""

from __future__ import annotations

import logging
import os
import time

from rdaq_ophyd.catalog import data_layout, left_open, repair
from rdaq_ophyd.errors import RdaqError

logger = logging.getLogger(__name__)
PATIENCE = 15.0
"""Seconds for the dead daemon's worker, which has the runs in its hands, to notice its death and end."""
EVERY = 0.25


def close_what_was_left(data_dir: str | os.PathLike[str]) -> None:
    """Do what ``rdaq repair`` does, where there is something to do. What cannot be repaired is logged."""
    layout = data_layout(data_dir)
    end = time.monotonic() + PATIENCE
    while left_open(layout):
        try:
            told = list(repair(layout))
        except RdaqError as error:
            logger.warning("%s", error)
            return
        for one in told:
            if one.kind != "left":
                logger.log(logging.ERROR if one.kind == "failed" else logging.WARNING, "repair: %s", one)
        if time.monotonic() > end or any(one.kind == "failed" for one in told):
            return
        if left_open(layout):
            time.sleep(EVERY)
