"""The files that queueserver reads: who may do what, and which plans and devices there are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import DataDirectoryError

__all__ = ["QueueFolder"]
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
PERMISSIONS = """\
# Who may queue which plans with which devices; read when the queue starts, and by `qserver permissions reload`.
# As in bluesky-queueserver's manual: a name, or ":" and a regular expression. [null]: all of them; []: none.
user_groups:
  root:  # what is not allowed here is allowed to no group
    allowed_plans: [null]
    forbidden_plans: [":^_"]
    allowed_devices: [null]
    forbidden_devices: [":^_"]
    allowed_functions: [null]
  primary:  # the group of everybody who names none
    allowed_plans: [null]
    allowed_devices: [null]
    allowed_functions: []
  # students:
  #   allowed_plans: ["count", "scan", "knife_edge_scan"]
  #   allowed_devices: [":^power_meter$", ":^x$"]
"""


@dataclass(frozen=True)
class QueueFolder:
    """``queue/`` of a data directory.

    :param path: the folder.
    """

    path: Path

    @property
    def permissions(self) -> Path:
        """User groups; yours to change."""
        return self.path / "user_group_permissions.yaml"

    @property
    def existing(self) -> Path:
        """Plans and devices, written anew by each worker."""
        return self.path / "existing_plans_and_devices.yaml"

    @property
    def settings(self) -> Path:
        """What the manager is told, written anew at each start."""
        return self.path / "manager.yml"

    def write_settings(self, settings: dict[str, Any]) -> None:
        """For its owner's eyes. JSON is YAML, too.

        :raises DataDirectoryError: it cannot be written.
        """
        with _told(self.settings), open(os.open(self.settings, WRITE, 0o600), "w", encoding="utf-8") as file:
            json.dump(settings, file, indent=1)

    def prepare(self) -> QueueFolder:
        """Make it, for its owner only, with permissions that let everybody run all plans; those that are there stay.

        :raises DataDirectoryError: it cannot be written.
        """
        with _told(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.permissions.exists():
                self.permissions.write_text(PERMISSIONS, encoding="utf-8")
        return self


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataDirectoryError(
            f"{path}: {error.strerror or error}", hint="choose another data directory: --data DIR"
        ) from error
