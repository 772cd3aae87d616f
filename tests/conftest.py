"""A test that leaves something behind fails: tasks, threads, file descriptors of ports, child processes."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from bluesky import RunEngine
from hypothesis import HealthCheck, settings
from preloaded import preload
from shared import PROCESSES
from turns import TogetherScheduling, in_turns
from untraced import untraced

from rdaq_ophyd import stop
from rdaq_ophyd.startup._run_engine import stop_loop

# Sessions write a profile for Tiled's clients: never the user's own. Set before anything imports tiled.
os.environ["TILED_PROFILES"] = tempfile.mkdtemp(prefix="rdaq-test-profiles-")
atexit.register(shutil.rmtree, os.environ["TILED_PROFILES"], ignore_errors=True)
# Nor its latch, nor the processes that it finds.
for variable in ("RDAQ_STATE", "RDAQ_RUN"):
    os.environ[variable] = tempfile.mkdtemp(prefix="rdaq-test-")
    atexit.register(shutil.rmtree, os.environ[variable], ignore_errors=True)

# A shell ignores Ctrl-C in what it starts in the background, `nohup` the end of the terminal, and so would all the
# programs that the tests start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# Suites to subclass: their assertions tell as much as those of a test file.
pytest.register_assert_rewrite("cameracontract", "rows", "streamscans")

# A busy machine is no failure of the example that it made slow.
settings.register_profile("rdaq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rdaq")


def pytest_configure(config: pytest.Config) -> None:
    """The process that hands tests to others has Tiled loaded for all of them."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.add_cleanup(preload())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """What is imported here stays: no collection of garbage has to look at it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, those that start programs in turn with those that wait."""
    items[:] = in_turns(items, "tests/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TogetherScheduling | None:
    """Of the files that share a laboratory, one worker takes all."""
    return TogetherScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """What a test logged travels to the main process as UTF-8: a lone surrogate in it would end the whole run."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


# Started once by libraries, for the life of the process; not leaks of a test.
LIBRARY_THREADS = (
    "asyncio_",
    "uvloop_",
    "bluesky-run-engine",
    "ThreadPoolExecutor-",
    "pydevd",
    "AnyIO",
    "IPython",
    "tqdm_monitor",
    "pytest_timeout",
)


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.name.startswith(LIBRARY_THREADS)}


#: Not every kernel keeps a list of children.
LISTED = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _children() -> set[int]:
    """Those that run, by the kernel's own list where there is one: psutil looks at every process of the machine."""
    if not LISTED:
        return {p.pid for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE} - PROCESSES
    lists = (Path(f"/proc/self/task/{task}/children") for task in os.listdir("/proc/self/task"))
    return {pid for path in lists for pid in map(int, _read(path).split()) if _runs(pid)} - PROCESSES


def _read(path: Path) -> str:
    """What the kernel tells in a file; nothing of a thread or a process that has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _runs(pid: int) -> bool:
    state = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def _ports() -> set[str]:
    """Open serial lines and sockets of this process, as ``fd -> target``."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if target.startswith(("/dev/pts", "/dev/ptmx", "/dev/tty", "socket:")):
            found.add(f"{fd} -> {target}")
    return found


def _settle(before: set, now: callable, seconds: float = 5.0) -> set:
    """What is in ``now()`` but not ``before``, once it stopped shrinking (threads and sockets end a little late)."""
    end = time.monotonic() + seconds
    while (left := now() - before) and time.monotonic() < end:
        gc.collect()
        threading.Event().wait(0.02)
    return left


@pytest.fixture(autouse=True)
def no_leaked_threads_ports_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, a port or a process; wider-scoped fixtures are set up before the count."""
    threads, children, ports = _threads(), _children(), _ports()
    yield
    if "session" in request.fixturenames:
        return  # a whole session is shared by a module's tests; its fixture makes this check when it ends
    check_left(request.node.nodeid, threads, children, ports)


def check_left(what: str, threads: set[threading.Thread], children: set[int], ports: set[str]) -> None:
    """Fail when there is more than before, after a bounded wait for what ends a little late."""
    left = {
        "threads": sorted(t.name for t in _settle(threads, _threads)),
        "processes": sorted(map(str, _settle(children, _children))),
        "ports": sorted(_settle(ports, _ports)),
    }
    left = {k: v for k, v in left.items() if v}
    assert not left, f"{what} left behind {left}"


#: What earlier tests connected and their module may still use.
_connected: weakref.WeakSet = weakref.WeakSet()


@pytest.fixture(scope="module", autouse=True)
def forget_earlier_modules() -> None:
    """Whatever is still connected belonged to a module that is over."""
    _connected.clear()


@pytest.fixture(autouse=True)
def latch_open() -> Iterator[None]:
    """What a test stopped does not refuse the next one; what it forgot to close is no part of the next one's stop."""
    if any(target not in _connected for target in stop.targets()):
        gc.collect()
        _connected.update(stop.targets())
    yield
    if stop.latch.tripped:
        stop.reset("the test is over", force=True)


@pytest.fixture(scope="module", name="untraced")
def programs_untraced() -> Iterator[None]:
    """Programs that a module's tests start are not traced by coverage: other modules trace the same ones."""
    with untraced():
        yield


@pytest.fixture(scope="module")
def nothing_left_by_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """The same check for what a module's tests share."""
    before = _threads(), _children(), _ports()
    yield
    check_left(request.node.nodeid, *before)


@pytest.fixture(scope="module")
def engine() -> Iterator[RunEngine]:
    """A bare RunEngine for a module's tests, on its own loop."""
    made = RunEngine({}, context_managers=[], call_returns_result=True)
    yield made
    if made.state == "paused":
        made.abort()
    stop_loop(made)


@pytest.fixture
def docs(engine: RunEngine) -> Iterator[list[tuple[str, dict]]]:
    """The documents that it emits, as they come."""
    found: list[tuple[str, dict]] = []
    token = engine.subscribe(lambda name, document: found.append((name, document)))
    yield found
    engine.unsubscribe(token)


@pytest.fixture(autouse=True)
def no_leaked_tasks(request: pytest.FixtureRequest) -> None:
    """Fail an async test that leaves a task running; others need no event loop, which takes long to make."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("all_tasks_done")


@pytest_asyncio.fixture
async def all_tasks_done(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """No task is left."""
    yield
    mine = asyncio.current_task()
    left = [t for t in asyncio.all_tasks() if t is not mine and not t.done()]
    for _ in range(50):
        left = [t for t in left if not t.done()]
        if not left:
            break
        await asyncio.sleep(0.01)
    assert not left, f"{request.node.nodeid} left tasks: {left}"
