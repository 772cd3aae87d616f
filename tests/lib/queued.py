"""`rdaq queue` as a process of its own, with simulated instruments of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
from benchmarks._profile import simulated
from untraced import RDAQ

from rdaq_ophyd.queue._control import Control
from rdaq_ophyd.sim import start_bench

PLANS = """
from bluesky.plan_stubs import mv
from bluesky.utils import MsgGenerator
from rdaq_ophyd.plans import enable

def there_and_back(x: Esp300Axis, y: Esp300Axis) -> MsgGenerator[str]:
    "Move both axes, and back."
    yield from enable(x, y)
    yield from mv(x, 0.5, y, 0.25)
    yield from mv(x, 0, y, 0)
    return "back again"
"""


@contextmanager
def queue_process(folder: Path, *words: str, more: str = PLANS, delivered: bool = True) -> Iterator[SimpleNamespace]:
    """``process``, ``address`` (gRPC), ``control`` (queueserver's), ``bench``, ``data`` and ``log`` of a queue.

    :param folder: for everything that it writes; its name is that of the rig.
    :param more: text that comes last in its profile.
    :param delivered: whether runs are brought into the catalog.
    """
    with start_bench(fast=True, lift_baud=True, log_dir=folder) as bench:
        text = simulated(folder.name, bench.ports, more=more, delivered=delivered)
        (folder / f"{folder.name}.py").write_text(text)
        command = ["queue", str(folder / f"{folder.name}.py"), "--data", str(folder / "data"), "--operator", "ada"]
        command += ["--port", "0", "--control-port", "0", *words]
        with (folder / "log").open("w") as log, subprocess.Popen(
            [*RDAQ, *command], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:  # fmt: skip
            address = process.stdout.readline().strip()
            try:
                assert address.startswith("127.0.0.1:"), (folder / "log").read_text()[-5000:]
                control = process.stdout.readline().split()[0]
                yield SimpleNamespace(
                    process=process, address=address, control=control, bench=bench, folder=folder, data=folder / "data"
                )
            finally:
                family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
                process.kill()
                for child in family:  # of a test that failed: a queue that was told to end leaves none
                    with suppress(psutil.NoSuchProcess):
                        child.kill()


def until(control: Control, condition: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
    """The first status for which it holds; bounded."""
    end = time.monotonic() + seconds
    while not condition(status := control.status()):
        assert time.monotonic() < end, status
        time.sleep(0.05)
    return status


def idle(status: dict[str, Any]) -> bool:
    """Nothing runs."""
    return status["manager_state"] == "idle"


def last(control: Control) -> dict[str, Any]:
    """What the last item came to, with its name."""
    item = control.ask("history_get")["items"][-1]
    return {"name": item["name"], **item["result"]}


def stop_documents(data: Path, uid: str) -> list[dict[str, Any]]:
    """Those of one run, wherever its file is by now; none while it is open."""
    return [stop for path in _files(data) if uid in path.name for stop in _stops(path)]


def open_run(data: Path) -> str:
    """The uid of the run that is being recorded, as soon as one is."""
    found: list[str] = []

    def look() -> list[str]:
        found[:] = [path.stem for path in _files(data) if not _stops(path)]
        return found

    wait_for(look)
    return found[0]


def _files(data: Path) -> list[Path]:
    return list((data / "spool").rglob("*.jsonl"))


def _stops(path: Path) -> list[dict[str, Any]]:
    with suppress(FileNotFoundError):  # it was delivered just now
        lines = path.read_text().splitlines(keepends=True)
        documents = [json.loads(line) for line in lines if line.startswith("[") and line.endswith("\n")]
        return [document for name, document in documents if name == "stop"]
    return []


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it holds; bounded."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
