"""A plan's arguments as they are written on a command line, by what queueserver tells of its parameters."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.option_words import OptionParser

__all__ = ["plan_item"]
MANY = int(inspect.Parameter.VAR_POSITIONAL)
LISTS = ("typing.List[", "list[", "collections.abc.Sequence[", "collections.abc.Iterable[")


def plan_item(name: str, description: Mapping[str, Any], words: Sequence[str], prog: str) -> dict[str, Any]:
    """An item for the queue, of ``--num 41 --stage x`` and the like.

    :param description: of the plan, as ``plans_allowed`` has it.
    :param prog: the command, for its help.
    :raises LimitError: a number that is not finite.
    """
    known: list[dict[str, Any]] = description["parameters"]
    parser = OptionParser(prog=prog, description=description.get("description", "").split("\n\n")[0])
    for parameter in known:
        parser.add_argument(
            f"--{parameter['name'].replace('_', '-')}",
            dest=parameter["name"],
            required="default" not in parameter and parameter["kind"]["value"] != MANY,
            metavar=_metavar(parameter),
            help=_help(parameter).replace("%", "%%"),
        )
    options = {name: text for name, text in vars(parser.parse_args(words)).items() if text is not None}
    given = {p["name"]: _value(p, options[p["name"]]) for p in known if p["name"] in options}
    return {"item_type": "plan", "name": name, **_called(known, given)}


def _called(known: list[dict[str, Any]], given: dict[str, Any]) -> dict[str, Any]:
    """As ``args`` and ``kwargs``; what stands before ``*args`` has to be given by its place then."""
    many = next((n for n, p in enumerate(known) if p["kind"]["value"] == MANY and p["name"] in given), None)
    if many is None:
        return {"kwargs": given}
    before = [p["name"] for p in known[:many]]
    args = [given.pop(name) for name in before if name in given]
    return {"args": [*args, *given.pop(known[many]["name"])], "kwargs": given}


def _type(parameter: Mapping[str, Any]) -> str:
    return str(parameter.get("annotation", {}).get("type", ""))


def _metavar(parameter: Mapping[str, Any]) -> str:
    devices = "devices" in parameter.get("annotation", {}) or "__" in _type(parameter)
    word = "DEVICE" if devices else parameter["name"].upper()
    return f"{word},..." if _is_list(parameter) else str(word)


def _help(parameter: Mapping[str, Any]) -> str:
    about = str(parameter.get("description", "")).split("\n")[0]
    names = [name for names in parameter.get("annotation", {}).get("devices", {}).values() for name in names]
    return "; ".join(filter(None, [about, ", ".join(names), *_default(parameter)]))


def _default(parameter: Mapping[str, Any]) -> Iterator[str]:
    if "default" in parameter:
        yield f"default: {parameter['default']}"


def _is_list(parameter: Mapping[str, Any]) -> bool:
    return parameter["kind"]["value"] == MANY or _type(parameter).startswith(LISTS)


def _value(parameter: Mapping[str, Any], text: str) -> Any:
    if _is_list(parameter) and not text.startswith("["):
        return [_plain(parameter, word) for word in text.split(",") if word]
    return _plain(parameter, text)


def _plain(parameter: Mapping[str, Any], text: str) -> Any:
    """A number, true, false, null or a list as JSON has it, else the text itself."""
    if _type(parameter) == "str":
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = {"True": True, "False": False, "None": None}.get(text, text)
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise LimitError(f"{parameter['name']} = {text} is not a finite number", hint="give a number")
    return value
