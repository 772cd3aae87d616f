"""Where files go has to be an absolute directory: documents name it to programs that run elsewhere."""

from __future__ import annotations

from pathlib import PurePath

from ophyd_async.core import PathInfo, PathProvider
from pydantic import ValidationError

from rdaq_ophyd.errors import DataDirectoryError

# ophyd-async's own providers keep their directory under one of these names; others show theirs when they are called.
_KEPT = ("_directory_path", "_base_directory_path")


def absolute_paths(provider: PathProvider) -> PathProvider:
    """The provider, refused in words if its directory is relative: at once where it shows, else at its first use.

    :raises DataDirectoryError: it is.
    """
    for name in _KEPT:
        directory = getattr(provider, name, None)
        if isinstance(directory, PurePath) and not directory.is_absolute():
            raise _relative(str(directory))

    def checked(datakey_name: str | None = None) -> PathInfo:
        try:
            return provider(datakey_name)
        except ValidationError as error:
            for wrong in error.errors(include_url=False):
                if wrong["loc"] == ("directory_path",):
                    raise _relative(str(wrong["input"])) from error
            raise

    return checked


def _relative(directory: str) -> DataDirectoryError:
    return DataDirectoryError(
        f"the directory for files is {directory!r}: it must be absolute",
        hint=f"Path({directory!r}).absolute() is the one below the present folder; "
        "in a profile take `paths`, the session's own",
    )
