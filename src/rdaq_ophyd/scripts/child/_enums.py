"""Enums of the rig's signals: the class itself where the script has it, else one with the same members."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_BASES: dict[str, type | None] = {"str": str, "int": int, "": None}


class Enums(Mapping[str, type[enum.Enum]]):
    """By ``module:qualname``.

    :param described: base and members of each.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        self._described = described
        self._made: dict[str, type[enum.Enum]] = {}

    def __getitem__(self, name: str) -> type[enum.Enum]:
        if name not in self._made:
            self._made[name] = _loaded(name) or _made(name, *self._described[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._described)

    def __len__(self) -> int:
        return len(self._described)


def _loaded(name: str) -> type[enum.Enum] | None:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, enum.Enum) else None


def _made(name: str, base: str, members: dict[str, Any]) -> type[enum.Enum]:
    module, _, path = name.partition(":")
    kind: Any = enum.Enum(  # type: ignore[misc]  # its members are known at run time only
        path.rpartition(".")[2], list(members.items()), type=_BASES[base], module=module, qualname=path
    )
    found: type[enum.Enum] = kind
    return found
