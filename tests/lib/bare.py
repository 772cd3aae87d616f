"""A session of an engine and a rig without instruments: as much as a server needs, in no time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc

from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine


@contextmanager
def bare_session(data_dir: Path, name: str = "bare") -> Iterator[Any]:
    """It, until the block ends."""
    engine = make_run_engine({}, scan_id_source=lambda _md: 1, devices=list, person=False)
    settings = SimpleNamespace(data_dir=data_dir)
    try:
        yield SimpleNamespace(
            RE=engine, rig=Rig(name), settings=settings, at_close=lambda _call: None, plans_by="", signals=None
        )
    finally:
        stop_loop(engine)


def own_channel(address: str, *options: tuple[str, Any]) -> grpc.Channel:
    """A connection that is shared with nobody."""
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), *options])
