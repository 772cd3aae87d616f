"""Where things live under a data directory."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError


@dataclass(frozen=True)
class DataLayout:
    """The folders of one data directory.

    =====================  =====================================================================================
    ``frames/``            files of cameras and other fast sources (HDF5); the only folder that Tiled serves files from
    ``spool/``             documents of runs that are not yet, or not wholly, in the catalog, one file a run
    ``spool/delivered``    the same files once the catalog has them: the record to rebuild a catalog from
    ``spool/interrupted``  runs whose process died before the stop document
    ``catalog/``           Tiled's database, tables and arrays, its key and its log; only the owner may look in
    =====================  =====================================================================================

    :param root: the data directory.
    """

    root: Path

    @property
    def frames(self) -> Path:
        """Files written by detectors."""
        return self.root / "frames"

    @property
    def spool(self) -> Path:
        """Documents on their way to the catalog."""
        return self.root / "spool"

    @property
    def delivered(self) -> Path:
        """Documents of runs that the catalog has whole."""
        return self.spool / "delivered"

    @property
    def interrupted(self) -> Path:
        """Documents of runs that will get no stop document any more."""
        return self.spool / "interrupted"

    @property
    def owners(self) -> Path:
        """One locked file for each living process that writes documents."""
        return self.spool / "owners"

    @property
    def catalog(self) -> Path:
        """Everything of Tiled, the key included."""
        return self.root / "catalog"

    def prepare(self) -> DataLayout:
        """Make the folders, ``catalog/`` for the owner only, and try to write in each.

        :raises DataDirectoryError: when a folder cannot be made or written.
        """
        for folder in (self.frames, self.delivered, self.interrupted, self.owners, self.catalog):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise DataDirectoryError(
                    f"data directory {str(self.root)!r}: cannot write in {str(folder)!r} ({error.strerror or error})",
                    hint="choose another data directory, or make this one writable and free some room",
                ) from error
        os.chmod(self.catalog, 0o700)
        return self


def data_layout(data_directory: str | os.PathLike[str]) -> DataLayout:
    """The layout of ``data_directory`` (made absolute; nothing is created, see :meth:`DataLayout.prepare`)."""
    return DataLayout(Path(data_directory).expanduser().absolute())
