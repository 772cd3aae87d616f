"""Reading a declared instrument from its file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rdaq_ophyd.errors import DeclarationError, UnknownName
from rdaq_ophyd.toml_lines import Lines, line_of, line_of_error

from ._check import complaints
from ._declaration import FORMAT, Declaration

SHIPPED = Path(__file__).parent.parent / "instruments"
"""Where the instruments that come with this package are declared."""
LARGEST = 1 << 20
"""Bytes of a file; the largest sensible ones have some ten thousand."""


def shipped() -> Mapping[str, Path]:
    """The instruments that come with this package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def find(source: str | Path) -> Path:
    """The file of an instrument: a path, or the name of one that comes with this package.

    :raises UnknownName: there is neither.
    """
    text = str(source)
    if isinstance(source, Path) or text.endswith(".toml") or "/" in text:
        path = Path(source)
        if path.is_file():
            return path
        raise UnknownName(
            f"no file {text}", hint="give the path of a declared instrument, or the name of a shipped one"
        )
    if text in (known := shipped()):
        return known[text]
    raise UnknownName.among("declared instrument", text, known, hint="or give the path of a TOML file")


def load(source: str | Path) -> Declaration:
    """Read and check a declared instrument.

    :param source: a path, or the name of an instrument that comes with this package.
    :raises UnknownName: there is no such file.
    :raises DeclarationError: the file is not what it must be; names file, line and reason.
    """
    path = find(source)
    try:
        if path.stat().st_size > LARGEST:
            raise DeclarationError(f"{path}: {path.stat().st_size} bytes; {LARGEST} are allowed")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read: {error.strerror or error}", hint="check its name") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DeclarationError(f"{path}:{line}: is not UTF-8", hint="save the file as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str = "<text>") -> Declaration:
    """The declared instrument in a TOML document.

    :param name: of the file, for messages.
    :raises DeclarationError: names file, line and reason.
    """
    text = text.replace("\r\n", "\n")
    data = _toml(text, name)
    if data.get("format") != FORMAT or isinstance(data["format"], bool | float):
        line = line_of(text, ("format",))
        said = f"format {data['format']!r}" if "format" in data else "no format"
        raise DeclarationError(f"{name}:{line}: {said}", hint=f"this release reads `format = {FORMAT}`")
    try:
        declaration = Declaration.model_validate(data)
    except ValidationError as error:
        raise _invalid(error, text, name) from error
    for path, what in complaints(declaration):
        raise DeclarationError(f"{name}:{line_of(text, path)}: {_dotted(path)}: {what}", hint="mend the file")
    return declaration


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, reason = line_of_error(error, text), re.sub(r" \(at .*\)$", "", str(error))
        raise DeclarationError(f"{name}:{line}: {reason}", hint="this is no TOML; mend the file") from error
    except (RecursionError, ValueError) as error:
        # Numbers of thousands of digits, brackets thousands deep.
        raise DeclarationError(f"{name}:1: cannot be read: {error}", hint="mend the file") from error


def _invalid(error: ValidationError, text: str, name: str) -> DeclarationError:
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    if first["type"] == "unknown_key":
        loc = (*loc, first["ctx"]["key"])
    if first["type"] in {"missing", "too_long"} and (
        pair := [n for n, p in enumerate(loc) if str(p).startswith("tuple[")]
    ):
        loc = loc[: pair[0]]
        return DeclarationError(
            f"{name}:{line_of(text, loc)}: {_dotted(loc)}: two numbers are needed, [lowest, highest]",
            hint="mend the file",
        )
    shown = loc if first["type"] in {"unknown_key", "missing"} else Lines(text).written(loc)
    reason = first["msg"].removeprefix("Value error, ")
    return DeclarationError(f"{name}:{line_of(text, loc)}: {_dotted(shown)}: {reason}", hint="mend the file")


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path)) or "the file"
