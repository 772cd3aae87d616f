"""Whether files lie on a disk of this machine: HDF5's promise to those who read along holds only there."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)
_TABLE = Path("/proc/self/mountinfo")
# Their clients keep writes back and reorder them, so that another machine may see a row before its data. HDF5 asks
# for the order of POSIX writes in SWMR mode, and names NFS and SMB as file systems that do not keep it.
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs"})
_told: set[str] = set()


class Mount(NamedTuple):
    """Where a file lies.

    :param point: directory.
    :param kind: as ``mount`` says: ``ext4``, ``nfs4``.
    :param source: device, or the server's directory.
    """

    point: str
    kind: str
    source: str


def mount_of(path: Path, table: Path | None = None) -> Mount | None:
    """The mount that ``path`` lies on; None where the system does not tell (Linux does, see ``proc(5)``)."""
    try:
        lines = (table or _TABLE).read_text().splitlines()
    except OSError:
        return None
    real, found = os.path.realpath(path), None
    for line in lines:
        first, _, second = line.partition(" - ")
        point, (kind, source, *_) = _plain(first.split()[4]), second.split()
        within = real == point or real.startswith(point.rstrip("/") + "/")
        if within and (found is None or len(point) >= len(found.point)):  # the later hides the other
            found = Mount(point, kind, _plain(source))
    return found


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def tell_of_network(path: Path, table: Path | None = None) -> None:
    """Say once a mount that other machines should not read along there."""
    mount = mount_of(path, table)
    if mount is None or mount.kind not in _NETWORK or mount.point in _told:
        return
    _told.add(mount.point)
    logger.warning(
        "%s is a network disk (%s of %s): HDF5 files there can be read along on this machine; on another one only when "
        "they are closed, before that their last frames may be missing or wrong",
        mount.point,
        mount.kind,
        mount.source,
    )
