"""``rdaq check FILE --conformance``: the suite that every driver has to pass, for an instrument from a file."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from rdaq_ophyd.declaration import find, load
from rdaq_ophyd.errors import DeclarationError, RdaqError

NEEDED = ("pytest", "hypothesis")
TEXT = """from rdaq_ophyd.testing import declared_suite

Test{name} = declared_suite({path!r})
"""


def conformance(source: str, directory: Path | None = None) -> int:
    """Run the suite in a process of its own, which writes what pytest writes; its exit code.

    :param directory: where the test file is put; a temporary one unless given.
    :raises UnknownName: there is no such file.
    :raises DeclarationError: the file is not what it must be, or does not say how the instrument behaves.
    :raises RdaqError: what the suite needs is not installed.
    """
    path, declaration = find(source).resolve(), load(source)
    name = declaration.instrument.name
    if declaration.sim is None:
        raise DeclarationError(f"{source}: no [sim], so there is nothing to run it against", hint="say what it answers")
    if missing := [package for package in NEEDED if importlib.util.find_spec(package) is None]:
        raise RdaqError(
            f"the conformance suite needs {' and '.join(missing)}", hint='pip install "rdaq-ophyd[testing]"'
        )
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="rdaq-conformance-") as folder:
            return conformance(source, Path(folder))
    file = directory / f"test_{name}.py"
    file.write_text(TEXT.format(name=name.title().replace("_", ""), path=str(path)), encoding="utf-8")
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider"]
    return subprocess.run([*command, f"--rootdir={directory}", str(file)], cwd=directory, check=False).returncode
