"""``rdaq documents``: the proxy between those who publish and those who listen, and its keys."""

from __future__ import annotations

import importlib.util
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import PublishError

from ._keys import KeyFolder

__all__ = ["make_keys", "proxy"]


def proxy(host: str, inside: int, outside: int, keys: str | None) -> int:
    """Run a proxy until Ctrl-C or SIGTERM; says on which addresses.

    :raises NotAllowed: another address than loopback without keys.
    :raises PublishError: a port cannot be had, or there are no keys.
    """
    _check_installed()
    from ._proxy import DocumentProxy, keys_in

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _end)
    made = DocumentProxy(host, inside, outside, keys_in(keys) if keys else None)
    try:
        sys.stdout.write(f"publish to {made.in_port}\nlisten at {made.out_port}\n")
        sys.stdout.flush()
        made.start()
    except KeyboardInterrupt:
        pass
    finally:
        made.close()
    return 0


def make_keys(folder: str, names: Sequence[str]) -> int:
    """Make keys for a proxy and for those who are named; says which files are secret."""
    _check_installed()
    for path in KeyFolder(Path(folder).expanduser().absolute()).make(names):
        sys.stdout.write(f"{path}\n")
    return 0


def _end(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _check_installed() -> None:
    if importlib.util.find_spec("zmq") is None:
        raise PublishError("pyzmq is not installed", hint="pip install 'rdaq-ophyd[zmq]'")
