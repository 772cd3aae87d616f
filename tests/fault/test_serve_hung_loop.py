"""A daemon whose event loop hangs, or has ended, ends when it is told to, and says why it did not close in order."""

from __future__ import annotations

import signal
import subprocess
import threading
import time

import pytest
from untraced import RDAQ

from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import RdaqError

PROFILE = """
from rdaq_ophyd.catalog import EmbeddedCatalog
from rdaq_ophyd.rig import Rig

EmbeddedCatalog.start = lambda _self: None
EmbeddedCatalog.wait_drained = lambda *_a, **_k: True
rig = Rig("hangs")
"""
PLANS = {
    "ends_the_loop": "asyncio.get_running_loop().stop()",
    "blocks_the_loop": "time.sleep(1e6)",
    "leaves_a_thread": "asyncio.get_running_loop().run_in_executor(None, time.sleep, 1e6)",
    "quits": "sys.exit(3)",
}
LONGEST = 60.0
"""Seconds; that the loop does not answer is waited for once, 10 s, and for what is told of the stop, 5 s."""


def written(folder, name):
    (folder / "plans").mkdir(exist_ok=True)
    text = f"    {PLANS[name]}\n    yield from bps.null()\n"
    imports = "import asyncio\nimport sys\nimport time\n\nimport bluesky.plan_stubs as bps\n\n\n"
    (folder / "plans" / f"{name}.py").write_text(f"{imports}def plan():\n    'Misbehaves.'\n{text}")


@pytest.fixture(scope="module")
def daemons(tmp_path_factory):
    """A daemon for each plan, with what its call has raised, told to end at the same time; process and log of each."""
    made, told = {}, {}
    try:
        for name in PLANS:
            folder = tmp_path_factory.mktemp(name)
            written(folder, name)
            (folder / "hangs.py").write_text(PROFILE)
            words = ["serve", str(folder / "hangs.py"), "--port", "0", "--no-page", "--data", str(folder / "data")]
            log = (folder / "log").open("w")
            made[name] = (
                folder,
                subprocess.Popen([*RDAQ, *words], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True),
            )
            log.close()
        for name, (folder, process) in made.items():
            address = process.stdout.readline().strip()
            assert address.startswith("127.0.0.1:"), (folder / "log").read_text()
            with connect(address) as client:
                told[name] = called(client, name)
        for _, process in made.values():
            process.send_signal(signal.SIGTERM)
        yield made, told, time.monotonic() + LONGEST
    finally:
        for _, process in made.values():
            process.kill()
            process.wait(20)
            process.stdout.close()


def called(client, name):
    """What a run of it said within a few seconds; None: nothing."""
    said = []

    def run():
        try:
            said.append(client.run(name))
        except RdaqError as error:
            said.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while client.state.plan != name and not said:
        assert time.monotonic() < end
    thread.join(2)
    return said[0] if said else None


@pytest.mark.parametrize("name", PLANS)
def test_it_ends_in_bounded_time(daemons, name):
    made, told, end = daemons
    folder, process = made[name]
    code = process.wait(max(0.1, end - time.monotonic()))
    log = (folder / "log").read_text()
    assert code == 128 + signal.SIGTERM, log[-3000:]
    assert ("the event loop of the devices hangs" in log) == (name in ("ends_the_loop", "blocks_the_loop")), log
    assert ("something in it hangs; its threads: " in log) == (name != "quits"), log
    if name == "quits":
        assert "the plan wanted to end the program (SystemExit: 3)" in str(told[name])
