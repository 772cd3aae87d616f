"""Paths, permissions and the forecast of room."""

import errno
import os

import pytest
from ophyd_async.core import PathInfo, UUIDFilenameProvider, YMDPathProvider

from rdaq_ophyd.errors import DataDirectoryError
from rdaq_ophyd.frames import forecast, frame_file
from rdaq_ophyd.streams import data_directory_error


def test_directories_by_date_are_made(tmp_path):
    info = YMDPathProvider(UUIDFilenameProvider(), tmp_path)("cam")
    info = info.model_copy(update={"create_dir_depth": -4})
    path = frame_file(info)
    assert path.parent.is_dir()
    assert path.suffix == ".h5"
    assert not path.exists()


def test_positive_depth_counts_from_the_root(tmp_path):
    inside = tmp_path / "a" / "b"
    depth = len(tmp_path.parts) - 1
    assert frame_file(PathInfo(directory_path=inside, filename="f", create_dir_depth=depth)).parent == inside
    assert inside.is_dir()


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(DataDirectoryError, match="gone does not exist"):
        frame_file(PathInfo(directory_path=tmp_path / "gone", filename="f"))
    with pytest.raises(DataDirectoryError, match="does not exist"):
        frame_file(PathInfo(directory_path=tmp_path / "gone" / "deep", filename="f", create_dir_depth=-1))


def test_an_existing_file_is_never_written_over(tmp_path):
    (tmp_path / "f.h5").write_bytes(b"mine")
    with pytest.raises(DataDirectoryError, match=r"f\.h5 exists already"):
        frame_file(PathInfo(directory_path=tmp_path, filename="f"))


def test_a_directory_without_permission_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(DataDirectoryError, match="no permission"):
        frame_file(PathInfo(directory_path=tmp_path, filename="f"))


def test_a_file_in_the_way_of_the_directory(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(DataDirectoryError):
        frame_file(PathInfo(directory_path=tmp_path / "x" / "y", filename="f", create_dir_depth=-1))


def test_forecast_names_both_sizes(tmp_path):
    assert forecast(10, 1000, tmp_path) > 10_000
    with pytest.raises(DataDirectoryError, match=r"1000000000 frames need \d+ MiB, .* has \d+ MiB free → take fewer"):
        forecast(1_000_000_000, 8 << 20, tmp_path)
    with pytest.raises(DataDirectoryError, match="does not exist"):
        forecast(1, 1, tmp_path / "gone")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no room left"),
        (OSError("file write failed: errno = 28, error message = 'No space left on device'"), "no room left"),
        (OSError(errno.EROFS, "Read-only"), "no permission"),
        (OSError(errno.EIO, "broken disk"), "broken disk"),
    ],
)
def test_errors_of_the_disk_become_sentences(tmp_path, error, words):
    found = data_directory_error(error, tmp_path / "f.h5")
    assert words in str(found)
    assert found.hint
