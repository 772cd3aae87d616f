"""The catalog that several rigs share, as one of them knows it: ``catalog.toml`` in its data directory."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rdaq_ophyd.errors import CatalogError

from ._files import write_atomic
from ._layout import DataLayout
from ._path_map import PathMap

FILE = "catalog.toml"
FORMAT = 1
_HOW = "see profiles/scaled/catalog.toml"


class _File(BaseModel):
    """What may stand in the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    uri: str = Field(pattern=r"^https?://")
    key_file: str = ""
    key_env: str = ""
    reader_key_file: str = ""
    reader_key_env: str = ""
    paths: dict[str, str] = {}


@dataclass(frozen=True)
class KeySource:
    """Where a key is read from, each time anew, so that it can be replaced while a session runs.

    :param file: a file for its owner only; relative names count from the folder of ``catalog.toml``.
    :param variable: of the environment.
    """

    file: Path | None = None
    variable: str = ""

    def __str__(self) -> str:
        return f"file {str(self.file)!r}" if self.file else f"environment variable {self.variable}"

    def __bool__(self) -> bool:
        return self.file is not None or bool(self.variable)

    def read(self) -> str:
        """The key.

        :raises CatalogError: there is none, it is none of Tiled's, or others may read its file.
        """
        key = self._from_file(self.file) if self.file else os.environ.get(self.variable, "").strip()
        if not key or not key.isalnum():
            what = "holds no key" if not key else "holds something else than a key (letters and digits)"
            raise CatalogError(f"the {self} {what}", hint="put the key there that Tiled's administrator made for it")
        return key

    def _from_file(self, path: Path) -> str:
        try:
            mode, key = path.stat().st_mode, path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogError(
                f"the key of the catalog cannot be read from {str(path)!r} ({error})", hint="put it there, mode 0600"
            ) from error
        if os.name == "posix" and mode & 0o077:
            raise CatalogError(
                f"{str(path)!r} can be read by others (mode {mode & 0o777:04o})",
                hint=f"chmod 600 {path}, and have the key replaced if others use this machine",
            )
        return key


@dataclass(frozen=True)
class SharedCatalog:
    """A Tiled that others keep, for several rigs.

    :param file: where this was read.
    :param uri: address of Tiled's API.
    :param writer: this rig's key.
    :param reader: a key that reads and subscribes; handed to the clients of this rig.
    :param paths: where the server sees the frames of this rig.
    """

    file: Path
    uri: str
    writer: KeySource
    reader: KeySource = field(default_factory=KeySource)
    paths: PathMap = field(default_factory=PathMap)

    @property
    def on_loopback(self) -> bool:
        """Whether the address means something else on another machine."""
        return _is_loopback(self.uri)

    def connect(self) -> Any:
        """A Tiled client of the root, with the writer's key.

        :raises CatalogError: there is no key.
        :raises Exception: whatever Tiled's client raises when the server is away or refuses.
        """
        from tiled.client import from_context
        from tiled.client.context import Context

        context, path = Context.from_any_uri(self.uri, api_key=self.writer.read())
        try:
            # With data sources at once: else each run asks for the root a second time.
            return from_context(context, node_path_parts=path, include_data_sources=True)
        except BaseException:  # the key is refused: Tiled's own from_uri would leave the connections open
            context.close()
            raise


def shared_catalog(layout: DataLayout) -> SharedCatalog | None:
    """The shared catalog that a data directory belongs to; None where it has its own.

    :raises CatalogError: as :func:`read_shared`.
    """
    path = layout.root / FILE
    return read_shared(path) if path.exists() else None


def read_shared(path: Path) -> SharedCatalog:
    """What a ``catalog.toml`` says.

    :raises CatalogError: it cannot be read or says something wrong.
    """
    try:
        content = tomllib.loads(path.read_text())
        found = _File.model_validate(content)
        paths = PathMap.of(found.paths)
    except OSError as error:
        raise CatalogError(f"{str(path)!r} cannot be read ({error.strerror or error})", hint=_HOW) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        # What stands there under a wrong name may be a key.
        value = "" if first["type"] == "extra_forbidden" else f" (it is {first['input']!r})"
        raise CatalogError(f"{path}: {where}: {first['msg']}{value}", hint=_HOW) from None
    except ValueError as error:
        raise CatalogError(f"{path}: {error}", hint=_HOW) from error
    if urlsplit(found.uri).username or urlsplit(found.uri).query:
        raise CatalogError(f"{path}: the address holds a key or a name", hint="put the key into key_file or key_env")
    if urlsplit(found.uri).scheme == "http" and not _is_loopback(found.uri):
        raise CatalogError(
            f"{path}: with {found.uri} the key would go over the network in the clear",
            hint="TLS in front of Tiled (profiles/scaled/nginx.conf) and https://, or a tunnel that ends at 127.0.0.1",
        )
    keys = (
        _key(path, found.key_file, found.key_env, "key"),
        _key(path, found.reader_key_file, found.reader_key_env, "reader_key"),
    )
    if not keys[0]:
        raise CatalogError(f"{path}: neither key_file nor key_env", hint=_HOW)
    return SharedCatalog(path, found.uri.rstrip("/"), *keys, paths)


def place(shared: SharedCatalog, path: Path) -> None:
    """Write what :func:`read_shared` reads, with whole paths; nothing where it was read from there."""
    if path.exists() and path.samefile(shared.file):
        return
    lines = ["# Written by `rdaq catalog move`.", f"format = {FORMAT}", f"uri = {_text(shared.uri)}"]
    for name, key in (("key", shared.writer), ("reader_key", shared.reader)):
        if key.file is not None:
            lines.append(f"{name}_file = {_text(str(key.file.absolute()))}")
        elif key:
            lines.append(f"{name}_env = {_text(key.variable)}")
    lines += ["[paths]", *(f"{_text(str(here))} = {_text(str(there))}" for here, there in shared.paths.folders)]
    write_atomic(path, ("\n".join(lines) + "\n").encode(), mode=0o644)


def _is_loopback(uri: str) -> bool:
    name = urlsplit(uri).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _text(value: str) -> str:
    return orjson.dumps(value).decode()  # JSON's strings are TOML's


def _key(path: Path, file: str, variable: str, name: str) -> KeySource:
    if file and variable:
        raise CatalogError(f"{path}: both {name}_file and {name}_env", hint="keep one of them")
    return KeySource(path.parent / Path(file).expanduser() if file else None, variable)
