"""What README and docs show is true: they build without a warning, and their commands and snippets run.

A fence marked ``sh`` is run by the shell, ``ipython`` is typed into ``rdaq shell sim``, ``python`` is executed (one
whose first line is ``# file: NAME`` is also written to that file). ``console`` and ``text`` are only shown.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider

from rdaq_ophyd import errors, profile
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.frames import Camera
from rdaq_ophyd.startup import Settings

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
#: Of one command or page, s.
BOUND = 150


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and text of every fence of a language, in reading order."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for kind, text in FENCE.findall(page.read_text())
        if kind == language
    ]


def commands() -> list:
    """The ``sh`` fences that are for this test; ``make`` is the business of CI."""
    found = [(page, text) for page, text in blocks("sh") if not text.startswith("make ")]
    return [pytest.param(text, id=f"{page}: {text.splitlines()[0]}") for page, text in found]


def run(command: list[str], lab: Path, typed: str | None = None) -> str:
    """Run a command in the lab's directory; what it printed. It must succeed within its bound."""
    done = subprocess.run(
        command, cwd=lab, input=typed, timeout=BOUND, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A working directory like a checkout, with the files that the pages show."""
    for folder in ("plans", "profiles"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for _, text in blocks("python"):
        if named := FILE.match(text):
            (tmp_path / named[1]).write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def catalog(data_dir: Path, nothing_left_by_module: None) -> Iterator[EmbeddedCatalog]:
    """The catalog of all commands here, kept up between them: each alone would wait for Tiled to start."""
    with pytest.MonkeyPatch.context() as patch, EmbeddedCatalog(data_dir, profile=None) as catalog:
        catalog.ready()
        patch.setenv("RDAQ_DATA", str(data_dir))
        patch.setenv("IPYTHONDIR", str(data_dir / "ipython"))
        patch.setenv("MPLBACKEND", "Agg")
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        yield catalog


def test_the_documentation_builds_without_a_warning(tmp_path):
    command = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    run([sys.executable, *command, str(ROOT / "docs"), str(tmp_path / "html")], tmp_path)
    assert (tmp_path / "html" / "reference" / "command-line.html").is_file()


def test_every_page_is_linked_rightly_from_the_readme():
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test\n" in [text for page, text in blocks("sh") if page == "README.md"]
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


#: What the shell prints before the text of an error.
ERRORS = {n for n, e in vars(errors).items() if isinstance(e, type)} | {"RunEngineInterrupted", "FailedStatus"}


def test_what_the_pages_type_into_the_shell(catalog, lab):
    typed = "".join(text for _, text in blocks("ipython"))
    said = run(["rdaq", "shell", "sim", "--simple-prompt", "--colors=NoColor"], lab, typed + "exit\n")
    assert "Traceback" not in said, said
    names = {n for n in re.findall(r"^(?:In \[\d+\]: )*(\w+): ", said, re.MULTILINE)}
    assert not {n for n in names if n in ERRORS or n.endswith("Error")}, said
    assert "rig sim: " in said
    assert len(catalog.c) >= typed.count("<bp.scan(")


#: Executes each page's snippets one after another, a namespace a page, in one process: imports are slow.
EXECUTE = """
import json, sys, traceback
sys.path.insert(0, "")
failed = []
for page, snippets in json.loads(sys.stdin.read()):
    names = {"__name__": "docs"}
    try:
        for text in snippets:
            exec(compile(text, page, "exec"), names)
    except Exception:
        traceback.print_exc()
        failed.append(page)
sys.exit(f"failed: {failed}" if failed else 0)
"""


def test_what_the_pages_show_in_python(catalog, lab):
    import json

    pages: dict[str, list[str]] = {}
    for page, text in blocks("python"):
        pages.setdefault(page, []).append(text)
    assert len(catalog.c), "the shell's runs are read back here"
    run([sys.executable, "-c", EXECUTE], lab, json.dumps(list(pages.items())))


@pytest.mark.parametrize("text", commands())
def test_what_the_pages_show_on_the_command_line(catalog, lab, text):
    missing = [p for p in ("curl",) if p in text and shutil.which(p) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    run(["sh", "-euc", text], lab)


def test_every_plan_is_run_by_some_page():
    shown = "".join(text for _, text in blocks("sh"))
    for plan in (ROOT / "plans").glob("*.py"):
        assert f"python plans/{plan.name} " in shown


def test_the_ipython_profile_directory_is_the_shell(catalog, lab, monkeypatch):
    monkeypatch.setenv("RDAQ_PROFILE", "template")
    (lab / "ipython").mkdir()
    shutil.copytree(ROOT / "profiles" / "ipython", lab / "ipython", dirs_exist_ok=True)
    command = ["ipython", "--profile-dir", "ipython", "--simple-prompt", "--colors=NoColor", "--no-confirm-exit"]
    said = run(command, lab, "await cam.exposure.get_value()\nlen(c)\nexit\n")
    assert "rig my_lab: cam" in said
    assert "Out[1]: 0.01" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.py")), ids=lambda p: p.stem)
async def test_every_profile_builds_and_connects_without_hardware(path, tmp_path):
    rig = profile.load(str(path))
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    async with rig.running({"paths": paths, "settings": Settings(data_dir=tmp_path)}, mock=True):
        assert rig.failures == {}
        assert rig.devices
        assert await asyncio.gather(*(d.read_configuration() for d in rig.devices.values()))
        for device in rig.devices.values():
            if isinstance(device, Camera):
                await device.close()
