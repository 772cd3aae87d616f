"""What README and docs show is true: they build without a warning, and their commands and snippets run.

A fence marked ``sh`` is run by the shell, ``ipython`` is typed into ``rdaq shell sim``, ``python`` is executed (one
whose first line is ``# file: NAME`` is also written to that file). ``console`` and ``text`` are only shown.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import get_origin, get_type_hints

import pytest
from labdrivers import drivers
from ophyd_async.core import Command, Signal, StaticPathProvider, UUIDFilenameProvider
from preloaded import COMMANDS as COMMANDS_FORKED

from rdaq_ophyd import declaration, errors, profile
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.frames import Camera
from rdaq_ophyd.startup import Settings

# The first test waits for everything that the pages show.
pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
#: Of one command, s.
BOUND = 300

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


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and text of every fence of a language, in reading order."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for kind, text in FENCE.findall(page.read_text())
        if kind == language
    ]


#: The ``sh`` fences; ``make`` is the business of CI.
SHOWN = [(page, text) for page, text in blocks("sh") if not text.startswith("make ")]


def for_this_run(text: str) -> str:
    """The lines that are run: of many plans of the same kind two, and all with ``RDAQ_TEST_FULL=1``."""
    lines = text.splitlines(keepends=True)
    plans = all(line.startswith("python plans/") for line in lines)
    return lines[0] + lines[-1] if plans and len(lines) > 2 and not os.environ.get("RDAQ_TEST_FULL") else text


COMMANDS = {f"{page}: {text.splitlines()[0]}": for_this_run(text) for page, text in SHOWN}


class Bench:
    """A data directory with Tiled up, where commands run one after another in a thread."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        data = folder / "data"
        stack.enter_context(EmbeddedCatalog(data, profile=None))
        self._thread = stack.enter_context(ThreadPoolExecutor(1))
        scripts = Path(sys.executable).parent
        self.env = {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "RDAQ_DATA": str(data),
            "TILED_PROFILES": str(folder / "tiled-profiles"),
            "IPYTHONDIR": str(folder / "ipython"),
            "MPLBACKEND": "Agg",
            "RDAQ_SIM_FAST": "1",
        }

    def submit(self, command: list[str], typed: str = "", **env: str) -> Future[tuple[int, str]]:
        """Exit code and output of a command, run in a directory like a checkout, with the files that the pages show."""
        return self._thread.submit(self._run, command, typed, env)

    def _run(self, command: list[str], typed: str, env: dict[str, str]) -> tuple[int, str]:
        lab = self.folder / f"lab-{len(list(self.folder.iterdir()))}"
        lab.mkdir()
        for folder in ("plans", "profiles"):
            (lab / folder).symlink_to(ROOT / folder)
        for _, text in blocks("python"):
            if named := FILE.match(text):
                (lab / named[1]).write_text(text)
        done = subprocess.run(
            command, cwd=lab, env=self.env | env, input=typed, timeout=BOUND, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Sphinx puts the pages."""
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="module")
def shown(
    made: Path, tmp_path_factory: pytest.TempPathFactory, nothing_left_by_module: None, untraced: None
) -> Callable[[str], str]:
    """Runs all that the pages show, side by side; gives the output of each part, which must have succeeded."""
    sphinx = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(made / "html")]
    typed = "".join(text for _, text in blocks("ipython")) + "exit\n"
    plain = ["--simple-prompt", "--colors=NoColor"]
    with ExitStack() as stack:
        people, scripts = (Bench(tmp_path_factory.mktemp(name), stack) for name in ("people", "scripts"))
        parts = {
            "shell": people.submit(["rdaq", "shell", "sim", *plain], typed),
            # After the shell, whose runs the pages read back.
            "python": people.submit([sys.executable, "-c", EXECUTE], json.dumps(snippets())),
            **{name: scripts.submit(["sh", "-euc", text], **{COMMANDS_FORKED: "1"}) for name, text in COMMANDS.items()},
            "ipython": scripts.submit(
                ["ipython", "--profile-dir", ipython_profile(made), "--no-confirm-exit", *plain],
                "await cam.exposure.get_value()\nlen(c)\nexit\n",
                RDAQ_PROFILE="template",
            ),
            "sphinx": scripts.submit([sys.executable, *sphinx]),
        }
        finished = {name: part.result() for name, part in parts.items()}

    def output(name: str) -> str:
        code, text = finished[name]
        assert code == 0, text
        return text

    return output


def signals_of_instruments() -> dict[str, list[str]]:
    """Of each module with a driver and each declared file that ships, the names of its signals and commands."""
    found = {
        name: [n for scope in (made, *made.group.values()) for n in (*scope.signal, *scope.command)]
        for name, made in ((name, declaration.load(name)) for name in declaration.shipped())
    }
    for name, classes in drivers().items():
        hints = [get_type_hints(cls).items() for cls in classes]
        kinds = [(n, get_origin(kind) or kind) for pairs in hints for n, kind in pairs]
        found[name] = [n for n, kind in kinds if isinstance(kind, type) and issubclass(kind, Signal | Command)]
    return found


def snippets() -> list[tuple[str, list[str]]]:
    """Of each page, its snippets of Python."""
    pages: dict[str, list[str]] = {}
    for page, text in blocks("python"):
        pages.setdefault(page, []).append(text)
    return list(pages.items())


def ipython_profile(folder: Path) -> str:
    """A copy of the shipped profile directory: IPython writes its history into it."""
    return str(shutil.copytree(ROOT / "profiles" / "ipython", folder / "ipython"))


def test_the_documentation_builds_without_a_warning(shown):
    assert shown("sphinx") == ""


def test_the_page_of_each_instrument_shows_each_of_its_signals(shown, made):
    shown("sphinx")
    for stem, names in signals_of_instruments().items():
        html = (made / "html" / "reference" / "devices" / f"{stem}.html").read_text()
        assert names, stem
        assert not [name for name in names if f'<span class="pre">{name}</span>' not in html], stem


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_test_command_of_the_readme():
    assert ("README.md", "make test\n") in blocks("sh")
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


#: What the shell prints before the text of an error.
ERRORS = {n for n, e in vars(errors).items() if isinstance(e, type)} | {"RunEngineInterrupted", "FailedStatus"}


def test_what_the_pages_type_into_the_shell(shown):
    said = shown("shell")
    assert "rig sim: " in said
    assert "KnifeEdge(center=1." in said
    assert "Traceback" not in said
    names = set(re.findall(r"^(?:In \[\d+\]: )*(\w+): ", said, re.MULTILINE))
    assert not {n for n in names if n in ERRORS or n.endswith("Error")}, said


def test_what_the_pages_show_in_python(shown):
    assert "allowed: 0 to 100 W" in shown("python")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_pages_show_on_the_command_line(shown, name):
    if "curl" in COMMANDS[name] and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shown(name)


def test_every_plan_is_run_by_some_page():
    shown = "".join(text for _, text in SHOWN)
    for plan in (ROOT / "plans").glob("*.py"):
        assert f"python plans/{plan.name} " in shown


def test_the_ipython_profile_directory_is_the_shell(shown):
    said = shown("ipython")
    assert "rig my_lab: cam" in said
    assert "Out[1]: 0.01" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.[pt][yo]*")), ids=lambda p: p.stem)
async def test_every_profile_builds_and_connects_without_hardware(path, tmp_path, monkeypatch):
    for instrument in ("ESP300", "METER", "ELL14", "LASER"):
        monkeypatch.setenv(f"RDAQ_SIM_{instrument}", f"/dev/no-{instrument}")
    rig = profile.load(str(path))
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    async with rig.running({"paths": paths, "settings": Settings(data_dir=tmp_path)}, mock=True):
        assert rig.failures == {}
        assert rig.devices
        assert await asyncio.gather(*(d.read_configuration() for d in rig.devices.values()))
        for device in rig.devices.values():
            if isinstance(device, Camera):
                await device.close()
