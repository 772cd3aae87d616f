"""``${NAME}`` in the texts of a TOML profile."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from rdaq_ophyd.errors import UnknownName

_PLACE = re.compile(r"\$\$|\$\{([^}]*)\}")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def substitute(value: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Fill in environment variables: ``${NAME}``, or ``${NAME:-otherwise}``; ``$$`` is a dollar sign.

    :param value: a text, or tables and arrays with texts in them.
    :param environment: this process's unless given.
    :raises UnknownName: a variable is not set and has no other value, or is not written like one.
    """
    environment = os.environ if environment is None else environment
    if isinstance(value, str):
        return _PLACE.sub(lambda place: _fill(place, environment), value)
    if isinstance(value, dict):
        return {key: substitute(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [substitute(inner, environment) for inner in value]
    return value


def _fill(place: re.Match[str], environment: Mapping[str, str]) -> str:
    if place[0] == "$$":
        return "$"
    inside = _INSIDE.fullmatch(place[1])
    if inside is None:
        raise UnknownName(f"{place[0]} is no environment variable", hint="write ${NAME} or ${NAME:-otherwise}")
    name, otherwise = inside[1], inside[2]
    # Empty counts as not set: an empty port name would be told as something else later.
    if found := environment.get(name):
        return found
    if otherwise is None:
        raise UnknownName(
            f"the environment variable {name} is not set",
            hint=f"export {name}=..., or write ${{{name}:-otherwise}} in the profile",
        )
    return otherwise
