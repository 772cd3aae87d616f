"""Devices of the rig as a script has them: to be named in messages, asked, and looked at; never called directly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.scripts._vocabulary import FACTS, NOTES, QUESTIONS, TRACKS, VERBS

type Ask = Callable[[str, str, tuple[Any, ...], dict[str, Any]], Any]
_PLAIN = {kind.__name__: kind for kind in (bool, int, float, str)}


class Proxy:
    """A device, a part of one, or a signal. Its class has what the rig's has, so that Bluesky's protocols fit it.

    ``isinstance`` with a class of the rig's works, too, where the script has loaded that class.
    """

    name: str

    def __init__(self, described: dict[str, Any], datatype: Any) -> None:
        self._path, self._classes = described["path"], described["classes"]
        self._hash, self._said = hash(self._path), str(described["said"])
        self.name, self.parent = described["name"], None
        self._parts: dict[str, Any] = {}
        if datatype is not None:
            self.datatype = datatype
        for key, value in described["facts"].items():
            setattr(self, key, value)

    def children(self) -> Iterable[tuple[str, Any]]:
        """Its parts, by name."""
        return self._parts.items()

    def __hash__(self) -> int:
        return self._hash  # by its name, so that a set of devices has the same order each time

    def __repr__(self) -> str:
        return self._said

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise AttributeError(
            f"{self.__dict__.get('_path')}.{attribute} is not there, or not to be had in a script's process; parts: "
            + (", ".join(self.__dict__.get("_parts", ())) or "none")
        )


def _actual(proxy: Proxy) -> type:
    """The nearest class of the real one that the script has loaded."""
    for name in proxy.__dict__.get("_classes", ()):
        module, _, path = name.partition(":")
        found: Any = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        if isinstance(found, type):
            return found
    return type(proxy)


class Track:
    """Where an axis was; its rig knows."""

    def __init__(self, path: str, attribute: str, ask: Ask) -> None:
        self._ask = ask, path, f"{attribute}.nearest"

    def nearest(self, *args: Any, **kwargs: Any) -> Any:
        """Positions at times; see :class:`rdaq_ophyd.capabilities.Track`."""
        ask, path, attribute = self._ask
        return ask(path, attribute, args, kwargs)


class Devices:
    """All that the rig has, by the paths in messages.

    :param ask: gives the rig's answer.
    :param enums: of its signals, by name.
    """

    def __init__(self, ask: Ask, enums: Any) -> None:
        self._ask, self._enums = ask, enums
        self._found: dict[str, Proxy] = {}
        self._made: dict[tuple[Any, ...], type[Proxy]] = {}

    def add(self, described: list[dict[str, Any]]) -> None:
        """Make those that are described, and put them together."""
        for each in described:
            self._found[each["path"]] = self._class(each)(each, self._datatype(each["datatype"]))
        for each in described:
            proxy = self._found[each["path"]]
            proxy.parent = self._found.get(each["parent"])  # type: ignore[assignment]
            for part, path in each["children"].items():
                proxy._parts[part] = proxy.__dict__[part] = self._found[path]

    def __getitem__(self, path: str) -> Proxy:
        return self._found[path]

    def _datatype(self, name: str | None) -> Any:
        if name is None:
            return None
        return self._enums[name] if ":" in name else _PLAIN[name]

    def _class(self, described: dict[str, Any]) -> type[Proxy]:
        key = (described["classes"][0], described["asynchronous"], *described["attributes"])
        if key not in self._made:
            body = {a: self._attribute(a, asynchronous=described["asynchronous"]) for a in described["attributes"]}
            body["__class__"] = property(_actual)
            name = described["classes"][0].rpartition(":")[2].rpartition(".")[2]
            self._made[key] = type(name, (Proxy,), body)
        return self._made[key]

    def _attribute(self, attribute: str, *, asynchronous: bool) -> Any:
        ask = self._ask
        if attribute in VERBS:
            return _refusing(attribute)
        if attribute in TRACKS:
            return property(lambda proxy: Track(proxy._path, attribute, ask))
        if attribute in FACTS:
            return property(lambda proxy: ask(proxy._path, attribute, (), {}))
        assert attribute in QUESTIONS | NOTES
        return _awaited(attribute, ask) if asynchronous and attribute in QUESTIONS else _asked(attribute, ask)


def _refusing(attribute: str) -> Any:
    def refuse(proxy: Proxy, *_args: Any, **_kwargs: Any) -> None:
        raise RdaqError(
            f"{proxy._path}.{attribute}() was called in a script's process, which has no instruments",
            hint="let the plan do it with a message, such as `yield from bps.mv(x, 1)`",
        )

    return refuse


def _asked(attribute: str, ask: Ask) -> Any:
    def asked(proxy: Proxy, *args: Any, **kwargs: Any) -> Any:
        return ask(proxy._path, attribute, args, kwargs)

    return asked


def _awaited(attribute: str, ask: Ask) -> Any:
    async def awaited(proxy: Proxy, *args: Any, **kwargs: Any) -> Any:
        return ask(proxy._path, attribute, args, kwargs)

    return awaited
