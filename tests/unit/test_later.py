"""What a session does not need is loaded when somebody asks for it, and not before."""

import re
import subprocess
import sys

import pytest

import rdaq_ophyd
from rdaq_ophyd import catalog, link, sim
from rdaq_ophyd._later import later

HEAVY = ["_export", "_export_table", "_rebuild", "_close_runs", "_mend_files", "_from_files"]


def loaded(code):
    """Our modules after a program."""
    text = f"import sys\n{code}\nprint(*(name for name in sys.modules if name.startswith('rdaq_ophyd')))"
    return set(subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout.split())


def test_a_session_does_not_load_what_exports_repairs_and_tests_need():
    found = loaded("import rdaq_ophyd.startup")
    assert not found & {f"rdaq_ophyd.catalog.{name}" for name in HEAVY}
    assert "rdaq_ophyd.link._faulty" not in found
    assert not any(name.startswith(("rdaq_ophyd.frames", "rdaq_ophyd.server", "rdaq_ophyd.client")) for name in found)


@pytest.mark.parametrize("package", [catalog, link, sim], ids=["catalog", "link", "sim"])
def test_every_name_of_a_package_is_there(package):
    for name in package.__all__:
        assert getattr(package, name).__name__ if name != "ROUND_TRIPS" else package.ROUND_TRIPS


def test_a_bench_does_not_load_the_schema_of_declared_instruments():
    assert not any(name.startswith("rdaq_ophyd.declaration") for name in loaded("import rdaq_ophyd.sim.__main__"))


def test_the_version_is_there_and_nothing_else():
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", rdaq_ophyd.__version__)
    with pytest.raises(AttributeError, match="module 'rdaq_ophyd' has no attribute 'versions'"):
        rdaq_ophyd.versions  # noqa: B018 the look-up is the test


def test_a_name_is_looked_up_once_and_one_that_there_is_not_is_told():
    assert "rdaq_ophyd.catalog._rebuild" in loaded("from rdaq_ophyd.catalog import rebuild")
    assert catalog.rebuild is vars(catalog)["rebuild"]
    with pytest.raises(AttributeError, match=r"module 'rdaq_ophyd.catalog' has no attribute 'rebuilt'"):
        catalog.rebuilt  # noqa: B018 the look-up is the test
    with pytest.raises(ImportError, match="cannot import name 'rebuilt'"):
        from rdaq_ophyd.catalog import rebuilt  # noqa: F401
    with pytest.raises(AttributeError):
        later("rdaq_ophyd.catalog", rebuild="_export")("rebuild")
