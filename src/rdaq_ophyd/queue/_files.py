"""The files that queueserver reads: who may do what, and which plans and devices there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError

__all__ = ["QueueFolder"]
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

    def prepare(self) -> QueueFolder:
        """Make it, for its owner only, with permissions that let everybody run all plans; those that are there stay.

        :raises DataDirectoryError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.permissions.exists():
                self.permissions.write_text(PERMISSIONS, encoding="utf-8")
        except OSError as error:
            raise DataDirectoryError(
                f"{self.path}: {error.strerror or error}", hint="choose another data directory: --data DIR"
            ) from error
        return self
