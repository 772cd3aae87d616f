"""Find a profile by name, load it, and say file and line when it is wrong."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from .errors import ProfileError, RdaqError, UnknownName
from .rig import Rig, from_toml

__all__ = ["find", "load", "load_module", "names", "packaged", "search_path"]

SUFFIXES = (".py", ".toml")
"""A profile is Python, or TOML."""


def packaged(kind: str) -> Path:
    """Folder of the shipped ``profiles`` or ``plans``: in the wheel, or at the top of a source checkout."""
    here = Path(__file__).parent
    wheel = here / "_data" / kind
    return wheel if wheel.is_dir() else here.parent.parent / kind


def search_path() -> list[Path]:
    """Where profiles are looked for, in order: here, ``$RDAQ_PROFILES``, the user's folder, the shipped ones."""
    extra = [Path(p) for p in os.environ.get("RDAQ_PROFILES", "").split(os.pathsep) if p]
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rdaq" / "profiles"
    return [Path("profiles"), *extra, user, packaged("profiles")]


def names() -> dict[str, Path]:
    """All profiles that can be named, nearest first."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for path in sorted(p for p in folder.glob("*") if p.suffix in SUFFIXES and p.is_file()):
            found.setdefault(path.stem, path)
    return found


def find(name: str) -> Path:
    """Path of a profile given by name or by path.

    :raises UnknownName: with the nearest names.
    :raises ProfileError: the name is that of a Python and of a TOML profile in the same folder.
    """
    if name.endswith(SUFFIXES) or os.sep in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise UnknownName(f"no profile at {path}", hint="give a profile's path, or one of: " + ", ".join(names()))
        return path
    known = names()
    if name not in known:
        raise UnknownName.among("profile", name, known, hint="(or give the path of a .py or .toml file)")
    found = known[name]
    if (twin := found.with_suffix(".toml")) != found and twin.is_file():
        raise ProfileError(f"profile {name}: there are {found} and {twin.name} beside it", hint="give the path of one")
    return found


def load(name: str) -> Rig:
    """The rig of a profile, not yet built.

    :raises UnknownName: when there is no such profile.
    :raises ProfileError: when the file has an error in it (file, line) or makes no ``rig``.
    """
    path = find(name)
    if path.suffix == ".toml":
        return from_toml(path)
    rig = getattr(load_module(path), "rig", None)
    if not isinstance(rig, Rig):
        raise ProfileError(f"{path}: no rig in this profile", hint='a profile says `rig = Rig("name")` at top level')
    return rig


def load_module(path: Path) -> ModuleType:
    """Run a Python file as a module of its own.

    :raises ProfileError: with file and line of what is wrong in it, also where it would end the process.
    """
    path = path.resolve()
    name = f"rdaq_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ProfileError(f"{path}: not a Python file", hint="give a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    try:
        spec.loader.exec_module(module)
    except RdaqError as error:
        if isinstance(error, ProfileError):
            raise
        raise ProfileError(f"{path}:{_line(error, path)}: {error}") from error
    except SyntaxError as error:
        where = f"{error.filename or path}:{error.lineno or 0}"  # of bytes that are no source it has neither
        raise ProfileError(f"{where}: {error.msg}", hint="mend the file") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whoever loads it goes on: a file does not end the process that looks at it
        what = f"{path}:{_line(error, path)}: {type(error).__name__}: {error}"
        raise ProfileError(what, hint="mend the file") from error
    return module


def _line(error: BaseException, path: Path) -> int:
    """Last line of the file itself in the error's traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f.lineno or 0 for f in frames if Path(f.filename) == path]
    return mine[-1] if mine else 0
