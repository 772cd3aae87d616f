"""What every start document says about where a run comes from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
from collections.abc import Callable, MutableMapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.rig import Rig

from ._kept import told_in_words
from ._metadata import Metadata
from ._settings import Settings

__all__ = ["file_hash", "git_state", "load_metadata", "scan_ids"]

PACKAGES = ("rdaq-ophyd", "bluesky", "ophyd-async", "event-model", "tiled", "bluesky-tiled-plugins", "h5py", "numpy")


def file_hash(path: Path) -> str:
    """``sha256:…`` of a file's bytes, so that a run names exactly the profile it was taken with."""
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the git checkout that holds ``folder`` and whether it has changes; None outside of one."""
    try:
        run = subprocess.run(  # bounded: a network mount may hang
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    commit, _, dirty = run.stdout.strip().partition("-")
    return {"commit": commit, "dirty": bool(dirty)} if run.returncode == 0 and commit else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package.replace("-", "_")] = version(package)
        except PackageNotFoundError:
            continue
    return found


def load_metadata(path: Path, settings: Settings, rig: Rig, profile: Path, plans: Path) -> Metadata:
    """The RunEngine's metadata: kept between sessions in the file ``path``, with this session's facts set anew.

    ``sample`` and whatever people put into ``RE.md`` stays; operator, versions, rig, profile hash and the git
    state of the plans are those of now.
    """
    md = Metadata(path)
    md["operator"] = settings.operator
    if settings.sample is not None:
        md["sample"] = settings.sample
    md.setdefault("sample", "")
    md["versions"] = _versions()
    md["rig"] = {**rig.md, "name": rig.name, "profile": str(profile), "profile_hash": file_hash(profile)}
    md.pop("plans_git", None)
    if (state := git_state(plans)) is not None:
        md["plans_git"] = state
    return md


def scan_ids(directory: Path) -> Callable[[MutableMapping[str, Any]], int]:
    """A source of scan ids that stay unique when several sessions share a data directory.

    :param directory: holds the file ``scan_id`` with the last one given, locked while it is raised.
    :raises DataDirectoryError: it cannot be made; the source raises it when the file cannot be written.
    """
    path = directory / "scan_id"
    with told_in_words(path):
        directory.mkdir(parents=True, exist_ok=True)

    def next_scan_id(_md: MutableMapping[str, Any]) -> int:
        with told_in_words(path), open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read().decode("utf-8", "replace").strip()
            if text and not text.isdigit():
                raise RdaqError(
                    f"{path}: {text[:20]!r} is no scan id", hint="write the last scan id of this data directory into it"
                )
            scan_id = int(text or 0) + 1
            file.seek(0)
            file.write(b"%d" % scan_id)  # over the last one: a full disk must not leave an empty file
            file.truncate()
        return scan_id

    return next_scan_id
