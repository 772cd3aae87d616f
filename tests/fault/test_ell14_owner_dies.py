"""A session that dies while a rotation mount jogs without an end: the watchdog stops it, and says so."""

import subprocess
import sys
from pathlib import Path

from watched import gone, wait

from rdaq_ophyd.sim import SimEll14, serve_pty
from rdaq_ophyd.stop import read_record

OWNER = """
import asyncio, sys
from pathlib import Path
from rdaq_ophyd.devices.ell14 import Ell14Bus
from rdaq_ophyd.stop import latch
from rdaq_ophyd.watchdog import Guard

async def main(port, latch_file):
    latch.attach(Path(latch_file))
    bus = Ell14Bus(port, {"0": "a", "3": "b"}, "bus")
    with Guard(10.0) as guard:
        await bus.connect()
        await bus.a.jog_step.set(0.0)
        await bus.a.jog_forward.trigger()
        await bus.b.velocity.set(25)
        status = bus.b.set(400.0)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(guard.sync)
        print("turning", guard.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


def test_killed_while_one_jogs_and_another_is_on_its_way(tmp_path: Path):
    with serve_pty(SimEll14("03")) as port:
        turning = lambda a: port.call(lambda now: port.instrument.rotators[a].motion is not None)  # noqa: E731
        command = [sys.executable, "-c", OWNER, port.url, str(tmp_path / "lab")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            words = process.stdout.readline().split()
            assert words[:1] == ["turning"], process.stderr.read()
            assert turning("0")
            assert turning("3")
            process.kill()
            process.wait()
            wait(lambda: gone(int(words[1])), "the watchdog has ended")
        assert not turning("0")
        assert not turning("3")
        verdicts = read_record(tmp_path / "lab")["verdicts"]
        assert {v["device"]: v["outcome"] for v in verdicts} == {"bus-a": "confirmed", "bus-b": "confirmed"}
        assert port.log.bytes().count(b"ma") == 1
