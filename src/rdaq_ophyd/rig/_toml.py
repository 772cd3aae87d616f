"""A rig from a TOML profile."""

from __future__ import annotations

import hashlib
import json
import logging
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rdaq_ophyd.errors import ProfileError, RdaqError, UnknownName
from rdaq_ophyd.toml_lines import Key, Lines, line_of_error

from ._environment import substitute
from ._rig import Rig
from ._toml_device import Description, add_device
from ._toml_schema import FORMAT, KINDS, DeviceTable, RigFile, keys_at

__all__ = ["read"]
logger = logging.getLogger(__name__)


def read(path: Path) -> Rig:
    """See ``rdaq_ophyd.rig.from_toml``."""
    return _Reader(path).rig()


class _Reader:
    """One profile, while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"{path}: cannot be read: {error}", hint="is it a text file of yours?") from error
        try:
            self._data = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            what = f"{path}:{line_of_error(error, self._text)}: {error}"
            raise ProfileError(what, hint="mend the file; texts stand in quotation marks") from error
        self._lines = Lines(self._text)

    def place(self, *key: str | int) -> str:
        """``file:line`` of a value."""
        return f"{self.path}:{self._lines.of(key)}"

    def error(self, key: Key, what: str, hint: str = "") -> ProfileError:
        """An error at a value of the file."""
        return ProfileError(f"{self.place(*key)}: {what}", hint=hint)

    def rig(self) -> Rig:
        file = self._validated()
        try:
            head = substitute(file.rig.model_dump())
        except RdaqError as error:
            raise self.error(("rig",), error.what, error.hint) from error
        # Dates become text: a run's documents are JSON.
        rig = Rig(head["name"], md=json.loads(json.dumps(head["md"], default=str)))
        for number, text in enumerate(head["publish"]):
            try:
                rig.publish(text)
            except RdaqError as error:
                raise self.error(("rig", "publish", number), error.what, error.hint) from error
        for name, table in file.calibration.items():
            try:
                rig.calibration.add(name, table.value, units=table.units, precision=table.precision)
            except RdaqError as error:
                raise self.error(("calibration", name), error.what, error.hint) from error
        descriptions = self._descriptions(file)
        for description in descriptions.values():
            add_device(rig, description, descriptions, self.error, self.path.parent)
        self._note_declared(rig, descriptions)
        for number, follow in enumerate(file.follow):
            self._check_follow(("follow", number), (follow.signal, follow.source), file)
            rig.follow(follow.signal, follow.source)
        return rig

    def _validated(self) -> RigFile:
        version = self._data.get("format")
        if version != FORMAT:
            said = "no format" if version is None else f"format = {version!r}"
            raise self.error(("format",), f"{said}; this program knows {FORMAT}", f"write format = {FORMAT} at the top")
        try:
            return RigFile.model_validate(self._data)
        except ValidationError as error:
            raise self._invalid(error) from error

    def _invalid(self, error: ValidationError) -> ProfileError:
        """The first thing that is wrong, by its line, and how many more there are."""
        found = error.errors(include_url=False)
        # Of what stands on one line, the innermost: that of the type which fits best.
        first = min(found, key=lambda e: (self._lines.of(self._in_file(e["loc"])), -len(e["loc"])))
        key = self._in_file(first["loc"])
        name = ".".join(str(part + 1) if isinstance(part, int) else part for part in key)
        hint = ""
        if first["type"] == "extra_forbidden":
            guess = UnknownName.among("key", str(key[-1]), keys_at(key[:-1]))
            what, hint = guess.what, guess.hint
        elif first["type"] == "missing":
            what = f"{name} is missing"
            hint = "add it"
        else:
            what = f"{name} = {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        others = len({e["loc"][:3] for e in found}) - 1
        if others:
            what += f" (and {others} more)"
        return self.error(key, what, hint)

    def _in_file(self, place: tuple[int | str, ...]) -> Key:
        """What pydantic calls a place, without the names of the types that it tried."""
        value: Any = self._data
        key: list[int | str] = []
        for number, part in enumerate(place, 1):
            if _has(value, part):
                value = value[part]
            elif not (isinstance(value, dict) and number == len(place)):
                continue
            key.append(part)
        return tuple(key)

    def _descriptions(self, file: RigFile) -> dict[str, Description]:
        """All devices that are enabled; a part of one that is not, is not either."""
        tables = {table.name: table for table in file.device}
        found: dict[str, Description] = {}
        for number, table in enumerate(file.device):
            key: Key = ("device", number)
            self._check_kind(key, table)
            if (whole := table.part_of or table.calibrates) is not None and whole not in tables:
                guess = UnknownName.among("device", whole, tables)
                raise self.error((*key, "part_of" if table.part_of else "calibrates"), guess.what, guess.hint)
            if table.name in found or (tables[table.name] is not table and table.enabled):
                first = next(n for n, t in enumerate(file.device) if t.name == table.name and t is not table)
                hint = f"rename one; another is at {self.place('device', first)}"
                raise self.error((*key, "name"), f"{table.name!r} is defined twice", hint)
            if not _enabled(table, tables):
                logger.info("%s: %s is not enabled", self.place(*key), table.name)
                continue
            try:
                filled = {name: substitute(getattr(table, name)) for name in ("link", "declared", "options", "address")}
            except RdaqError as error:
                raise self.error(self._variable(key, table), f"{table.name}: {error.what}", error.hint) from error
            found[table.name] = Description(key, table.model_copy(update=filled))
        return found

    def _variable(self, key: Key, table: DeviceTable) -> Key:
        """Where the text is that cannot be filled in."""
        for name in ("link", "declared", "options", "address"):
            try:
                substitute(getattr(table, name))
            except RdaqError:
                return (*key, name)
        return key

    def _check_kind(self, key: Key, table: DeviceTable) -> None:
        given = {DeviceTable.model_fields[name].alias or name for name in table.model_fields_set}
        kinds = [kind for kind in KINDS if kind in given]
        if len(kinds) != 1:
            said = " and ".join(kinds) if kinds else "nothing"
            hint = f"give one of: {', '.join(KINDS)}"
            raise self.error(key, f"{table.name}: {said} says what it is", hint)
        (kind,) = kinds
        allowed = KINDS[kind] | {"name", "enabled", kind}
        if stray := sorted(given - allowed):
            hint = f"beside {kind} there may be: {', '.join(sorted(KINDS[kind]))}"
            raise self.error((*key, stray[0]), f"{table.name}: {stray[0]} has no meaning beside {kind}", hint)

    def _note_declared(self, rig: Rig, descriptions: dict[str, Description]) -> None:
        """The files of declared instruments are part of what a run was taken with."""
        names = {d.table.declared for d in descriptions.values() if d.table.declared}
        files = {name: self.path.parent / Path(name).expanduser() for name in names if name.endswith(".toml")}
        if files:
            hashes = {n: "sha256:" + hashlib.sha256(f.read_bytes()).hexdigest() for n, f in sorted(files.items())}
            rig.md = {**rig.md, "declared_hashes": hashes}

    def _check_follow(self, key: Key, names: tuple[str, str], file: RigFile) -> None:
        known = [table.name for table in file.device]
        for which, name in zip(("signal", "source"), names, strict=True):
            if (head := name.split(".")[0]) not in known:
                guess = UnknownName.among("device", head, known)
                raise self.error((*key, which), guess.what, guess.hint)


def _has(value: Any, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _enabled(table: DeviceTable, tables: dict[str, DeviceTable], seen: tuple[str, ...] = ()) -> bool:
    whole = table.part_of or table.calibrates
    if not table.enabled or whole is None or whole in seen:
        return table.enabled
    return _enabled(tables[whole], tables, (*seen, whole))
