"""Parts of a package that are loaded when somebody asks for them, not with the package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def later(package: str, **modules: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package (PEP 562).

    :param package: its name.
    :param modules: for each of its names the module within that has it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, found)  # the next time it is there
        return found

    return get
