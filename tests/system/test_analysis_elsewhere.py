"""The example of the docs: a process that knows two addresses hears of a scan, and its fit is a run of the catalog."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks._profile import simulated
from bluesky import plans as bp
from nginx import free_ports
from proxied import proxy, wait_for
from tiled.queries import Key

from rdaq_ophyd.plans import enable
from rdaq_ophyd.plans._fits import beam_radius
from rdaq_ophyd.sim import start_bench
from rdaq_ophyd.startup import start

# Two programs that import Tiled's client, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(300)
PROGRAM = Path(__file__).parents[2] / "docs" / "examples" / "fit_elsewhere.py"
#: It finds the packages that it needs, and none of ours.
WITHOUT_OURS = """
import runpy, sys
sys.modules["rdaq_ophyd"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def ports():
    return free_ports(2)


@pytest.fixture(scope="module")
def session(data_dir, untraced, ports, tmp_path_factory, nothing_left_by_module):
    """Of a profile that publishes, with instruments that no other test has set."""
    path = tmp_path_factory.mktemp("profile") / "publishing.py"
    address = f"zmq://127.0.0.1:{ports[0]}?prefix=lab&serializer=json"
    with proxy(*ports), start_bench(fast=True, lift_baud=True, log_dir=path.parent) as bench:
        path.write_text(simulated("test", bench.ports, more=f"\nrig.publish({address!r})\n"))
        with start(str(path), data_dir=data_dir, operator="ada", sample="GaAs") as made:
            made.catalog.ready(100)
            yield made


@pytest.fixture(scope="module")
def there(session):
    """Its command line, as far as the address of the catalog, and its environment."""
    key = (session.layout.catalog / "api_key").read_text().strip()
    command = [sys.executable, "-c", WITHOUT_OURS, str(PROGRAM), session.catalog.ready()]
    return command, os.environ | {"TILED_API_KEY": key, "TILED_PROFILES": str(session.layout.root / "none")}


def scan(session):
    x = session.rig["x"]
    session.RE(enable(x))
    detectors = [session.rig["power_meter"], session.rig["cam"]]
    (uid,) = session.RE(bp.scan(detectors, x, 0, 2.4, 9)).run_start_uids
    return uid


def of(session, uid):
    """The analyses of a run."""
    return session.c.search(Key("analysis_of") == uid)


def check(session, uid, analysis):
    start = analysis.metadata["start"]
    assert (start["analysis_of"], start["purpose"], start["sample"]) == (uid, "analysis", "GaAs")
    fit = analysis["fit"].read()
    # What the library's own fit makes of the same points.
    points = session.c[uid].primary.read(["x", "power_meter-power"])
    expected = beam_radius(points["x"].values, points["power_meter-power"].values)
    assert float(fit["centre"][0]) == pytest.approx(expected.center, rel=1e-3)
    assert float(fit["radius"][0]) == pytest.approx(expected.radius, rel=1e-3)
    assert analysis["fit"].metadata["data_keys"]["centre"]["units"] == "mm"
    spots = analysis["cam_spots"].read()
    assert spots["row"].shape == (9,)
    assert np.isfinite(spots["row"]).all()


def test_a_process_that_listens_fits_a_scan_and_writes_it_back(session, there, ports):
    command, environment = there
    words = ["--documents", f"127.0.0.1:{ports[1]}", "--prefix", "lab"]
    with subprocess.Popen([*command, *words], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("listening")
            uid = heard = None
            end = time.monotonic() + 60
            while not heard:  # a dispatcher cannot be asked whether it listens already
                uid = scan(session)
                heard = _line(process, 5)
                assert time.monotonic() < end
            assert heard == f"heard of {uid}: success"
            wait_for(lambda: len(of(session, uid)) == 1)
            said = process.stdout.readline().split()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) in (130, -signal.SIGINT)
    assert said == [uid, "->", next(iter(of(session, uid)))]
    check(session, uid, of(session, uid).values().first())
    assert session.publishing[0].counts.published > 0


def _line(process, seconds):
    """What it says within that time."""
    return process.stdout.readline().strip() if select.select([process.stdout], [], [], seconds)[0] else ""


def test_scans_that_it_did_not_hear_of_are_named_and_one_without_an_edge_leaves_no_half_of_a_run(session, there):
    command, environment = there
    uid = scan(session)
    (flat,) = session.RE(bp.count([session.rig["power_meter"]])).run_start_uids
    before = len(session.c)
    words = [command[0], "-X", "preloaded", *command[1:], flat, uid]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{uid} -> ")
    assert f"{flat}: no result" in done.stderr
    assert len(of(session, uid)) == 1
    assert len(session.c) == before + 1
