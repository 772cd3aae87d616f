"""What is compiled before the tests is what pytest would have compiled."""

from __future__ import annotations

import subprocess
import sys

import compiled


def test_pytest_takes_a_file_that_was_compiled_before(tmp_path):
    test = tmp_path / "test_one.py"
    test.write_text("def test_one():\n    number = 1\n    assert number == 2\n")
    compiled.rewrite(test)
    (made,) = (tmp_path / "__pycache__").iterdir()
    before = made.stat().st_ino
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "assert 1 == 2" in done.stdout
    assert made.stat().st_ino == before
    assert list((tmp_path / "__pycache__").iterdir()) == [made]
    compiled.rewrite(test)
    assert made.stat().st_ino == before, "it was there"


def test_the_files_are_those_with_tests():
    names = {path.name for path in compiled.rewritten()}
    assert {"test_compiled.py", "conftest.py"} <= names
    assert all(name == "conftest.py" or name.startswith("test_") for name in names)
    assert all((compiled.ROOT / name).is_dir() for name in compiled.PLAIN)
