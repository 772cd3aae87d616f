"""Whole sessions on fast simulated instruments on real serial devices, and a browser for their pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from benchmarks._browser import PROGRAM, Browser, Tab
from benchmarks._profile import simulated
from bluesky import plan_stubs as bps
from shared import PROCESSES
from untraced import untraced
from viewed import looked_at

from rdaq_ophyd.server import Server
from rdaq_ophyd.sim import BenchProcess, start_bench
from rdaq_ophyd.startup import Session, start

CALIBRATION = """
rig.calibration.add("pixel_size", 3.45, units="um")
"""


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchProcess]:
    """Simulated instruments in a process of their own, ten times as fast, without baud limit."""
    with start_bench(fast=True, lift_baud=True, log_dir=tmp_path_factory.mktemp("bytes")) as process:
        yield process


@pytest.fixture(scope="session")
def profile_path(bench: BenchProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile whose devices are on that bench."""
    path = tmp_path_factory.mktemp("profile") / "bench.py"
    path.write_text(simulated("test", bench.ports, md={"room": "cellar"}, more=CALIBRATION))
    return path


@pytest.fixture(scope="session")
def sim_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the instruments of ``optics_profile`` write their bytes."""
    return tmp_path_factory.mktemp("sim-bytes")


@pytest.fixture(scope="session")
def optics_profile(sim_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped profile `sim` without an SDK's camera; its instruments ten times as fast, without baud limit."""
    text = (Path(__file__).parents[2] / "profiles" / "sim.py").read_text()
    text = text[: text.index("if importlib")].replace('os.environ.get("RDAQ_SIM_FAST")', "True")
    text = text.replace('os.environ.get("RDAQ_SIM_LOG")', repr(str(sim_log)))
    path = tmp_path_factory.mktemp("profile") / "optics.py"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory for the module's sessions; Tiled's client profile stays inside it."""
    path = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILED_PROFILES", str(path / "tiled-profiles"))
        yield path


@pytest.fixture(scope="module")
def session(profile_path: Path, data_dir: Path, nothing_left_by_module: None) -> Iterator[Session]:
    """One session for all tests of a module: Tiled takes seconds to start."""
    with ExitStack() as stack:
        with untraced():
            made = stack.enter_context(start(str(profile_path), data_dir=data_dir, operator="ada", sample="GaAs"))
            made.catalog.ready()
        # Slow enough that a stop from another thread comes in mid-move on a busy machine.
        made.RE(bps.mv(made.rig["x"].velocity, 5.0))
        yield made


@pytest.fixture(scope="module")
def server(session: Session) -> Iterator[Server]:
    """A module's session, with its page."""
    with Server(session, page=0) as made:
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, once for all files: it takes seconds of a processor to start."""
    if PROGRAM is None:
        pytest.skip("Chromium is not installed (make test-deps)")
    # WebGL alone is drawn by software GL. To put the page together with it as well takes more than all the rest; it is
    # how a page with a GPU does it, so that figures are measured that way.
    with Browser("--disable-gpu-compositing") as made:
        PROCESSES.add(made.pid)
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server) -> Iterator[Tab]:
    """The page of a module's session in a tab of its own, in which nothing may go wrong."""
    with looked_at(browser, server.page) as tab:
        yield tab
