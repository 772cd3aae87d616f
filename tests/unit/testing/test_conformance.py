"""The suite finds what it is for: each broken driver fails the tests meant for its defect, and says what to do.

By default only those tests and, of two drivers, the whole suite are run; ``RDAQ_THOROUGH=1`` runs it for all of them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

FILES = [Path(__file__).with_name(f"broken_{what}.py") for what in ("stops", "values", "declared")]
ROOT = Path(__file__).parents[3]
#: Of all that is run here, s.
BOUND = 600


def _load(file: Path) -> dict[str, type]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: suite for name, suite in vars(module).items() if name.startswith("Test")}


#: The suites of broken drivers by name, and the files that they are in.
BROKEN = {name: suite for file in FILES for name, suite in _load(file).items()}
PLACE = {name: f"{file}::{name}" for file in FILES for name in _load(file)}
WHOLE = set(BROKEN) if os.environ.get("RDAQ_THOROUGH") else {"TestMoveIsRepeated", "TestNonsenseBecomesZero"}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, str]]:
    """Of each broken driver: the tests that failed, with what they said."""
    report = tmp_path_factory.mktemp("broken") / "report.xml"
    asked = [PLACE[name] for name in WHOLE]
    asked += [f"{PLACE[name]}::{test}" for name in set(BROKEN) - WHOLE for test in BROKEN[name].meant]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTEST_"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *asked],
        cwd=ROOT, env=environment, timeout=BOUND, check=False, text=True, capture_output=True,
    )  # fmt: skip
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for case in ElementTree.parse(report).iter("testcase"):
        for kind in ("failure", "error"):
            if (failure := case.find(kind)) is not None:
                test = case.get("name").partition("[")[0]
                found[case.get("classname").rpartition(".")[2]][test] = failure.get("message")
    return found


@pytest.mark.timeout(BOUND)
@pytest.mark.parametrize("name", BROKEN)
def test_a_defect_fails_the_tests_that_are_meant_for_it(failures, name: str):
    said = failures[name]
    assert set(said) == BROKEN[name].meant, said


@pytest.mark.timeout(BOUND)
@pytest.mark.parametrize("name", [name for name, suite in BROKEN.items() if hasattr(suite, "says")])
def test_the_message_tells_what_to_do(failures, name: str):
    assert re.search(BROKEN[name].says, " ".join(failures[name].values())), failures[name]
