"""Clients that others wrote for the real bus drive the simulated one: ``thorlabs-elliptec`` and ``tl-elliptec``.

Each runs in a process of its own, as its users run it, and prints what it saw. Where they differ:

- ``ho0`` (the first) or ``ho00`` (the second) homes; the manual has one digit, devices take both.
- The second waits through ``GS09`` for the end of a motion; the first takes the first frame for the end. A device that
  said busy first would look as if it had failed; the simulator says that only where it is asked, or of cleaning.
- A jog without an end is answered when ``st`` stops it, says the second, which waits for that; the first has no such
  thing. While it lasts, the second's question for the status waits in vain for another answer than busy.
- A device that joins a group answers from its own address, one that changes its address from the new one (the second).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from rdaq_ophyd.sim import Port, Rotator, SimEll14, serve_pty

pytestmark = pytest.mark.usefixtures("untraced")
PRELUDE = "import json, sys, time; url = sys.argv[1]; seen = {}\n"
EPILOGUE = "\nprint(json.dumps(seen, default=str))\n"


def run(script: str, port: Port, seconds: float = 60.0) -> dict:
    """What the script put into ``seen``."""
    command = [sys.executable, "-c", PRELUDE + script + EPILOGUE, port.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def port():
    with serve_pty(SimEll14("03A", speed=4.0)) as port:
        yield port


# -- thorlabs-elliptec: one device, later several on its port ------------------------------------------------------

ELLX = """
from thorlabs_elliptec import ELLx, ELLError
one = ELLx(url, x=14, device_id=0)
two = ELLx(one, device_id=10)
seen["model"], seen["units"] = one.model_number, one.units
seen["serials"], seen["travel"], seen["year"] = [one.serial_number, two.serial_number], one.travel, one.year
one.move_absolute(45, blocking=True)
seen["moved"] = one.get_position()
one.move_relative(-50, blocking=True)
seen["back"] = one.get_position()
one.move_absolute(90)
two.move_absolute(-30)
one.wait(raise_errors=True); two.wait(raise_errors=True)
seen["both"] = [one.get_position(), two.get_position()]
for direction in (0, 1):
    one.move_absolute(20, blocking=True)
    one.home(direction, blocking=True)
    seen[f"home {direction}"] = one.get_position()
time.sleep(0.4)
seen["status"] = one.status.name
one.close(); two.close()
"""


def test_one_client_identifies_moves_and_homes(port):
    seen = run(ELLX, port)
    assert (seen["model"], seen["units"], seen["travel"], seen["year"]) == ("ELL14/M", "°", 360, 2023)
    assert seen["serials"] == ["11400517", "11400519"]
    assert seen["moved"] == pytest.approx(45, abs=0.01)
    assert seen["back"] == pytest.approx(-5, abs=0.01)
    assert seen["both"] == pytest.approx([90, -30], abs=0.01)
    assert (seen["home 0"], seen["home 1"]) == (0, 0)
    assert seen["status"] == "OK"
    assert port.log.arrivals(b"0ho0\r\n")
    assert port.log.arrivals(b"0ho1\r\n")


def test_one_client_hears_of_faults():
    script = """
from thorlabs_elliptec import ELLx, ELLError
one = ELLx(url)
try:
    one.move_absolute(10, blocking=True)
except ELLError as error:
    seen["error"] = error.status.name
seen["position"], seen["thread"] = one.get_position(), one.thread_type
one.close()
"""
    with serve_pty(SimEll14({"0": Rotator(imperial=True)}, movers=0)) as port:
        assert run(script, port) == {"error": "OVER_CURRENT", "position": 0.0, "thread": "imperial"}


def test_one_client_refuses_another_model_and_serial_number(port):
    script = """
from thorlabs_elliptec import ELLx
for name, wanted in (("model", {"x": 18}), ("serial", {"device_serial": "1"})):
    try:
        ELLx(url, **wanted)
    except Exception as error:
        seen[name] = str(error)
"""
    seen = run(script, port)
    assert "not an ELL18" in seen["model"]
    assert "expected serial number '1'" in seen["serial"]


# -- tl-elliptec: the whole bus -----------------------------------------------------------------------------------

BUS = """
from tl_elliptec import ElliptecBus, discover_devices
from tl_elliptec.exceptions import ElliptecStatusError
bus = ElliptecBus(url)
stages = discover_devices(bus, addresses="03A")
a, b = stages["0"], stages["3"]
def code(act):
    try:
        act()
    except ElliptecStatusError as error:
        return int(error.code)
"""


def test_the_other_client_finds_all_and_reads_their_calibration(port):
    seen = run(
        BUS
        + """
stages = discover_devices(bus, timeout=0.15)
seen["found"], seen["kinds"] = list(stages), [type(stage).__name__ for stage in stages.values()]
info = a.info
seen["info"] = [info.ell_type, info.serial_number, info.year, info.firmware_release, info.is_imperial, info.travel]
seen["pulses"] = a.pulses_per_unit
motor = a.get_motor_info(1)
seen["motor"] = [motor.loop_on, motor.motor_on, motor.current_amps, motor.forward_frequency_hz]
seen["status"] = int(a.get_status())
""",
        port,
    )
    assert seen["found"] == ["0", "3", "A"]
    assert seen["kinds"] == ["ELL14"] * 3
    assert seen["info"] == [14, "11400517", "2023", "17", False, 360]
    assert seen["pulses"] == pytest.approx(143_360 / 360)
    assert seen["motor"][:3] == [True, False, 0.0]
    assert seen["motor"][3] == pytest.approx(95_500, rel=0.01)
    assert seen["status"] == 0


def test_the_other_client_moves_homes_and_jogs(port):
    seen = run(
        BUS
        + """
seen["absolute"], seen["relative"], seen["negative"] = a.move_absolute(45), a.move_relative(-15.5), a.move_absolute(-90)
seen["home"] = [a.home(0), a.home(1)]
a.set_jog_step_size(12.5)
seen["step"], seen["jogs"] = a.get_jog_step_size(), [a.forward(), a.backward()]
a.set_velocity(50)
seen["velocity"] = a.get_velocity()
a.set_home_offset(3)
seen["offset"] = a.get_home_offset()
a.save_user_data()
seen["others"] = b.get_position()
""",
        port,
    )
    assert [seen["absolute"], seen["relative"], seen["negative"]] == pytest.approx([45, 29.5, -90], abs=0.01)
    assert seen["home"] == [0, 0]
    assert seen["step"] == pytest.approx(12.5, abs=0.01)
    assert seen["jogs"] == pytest.approx([12.5, 0], abs=0.01)
    assert (seen["velocity"], seen["others"]) == (50, 0)
    assert seen["offset"] == pytest.approx(3, abs=0.01)
    assert port.log.arrivals(b"0ho01\r\n")


def test_the_other_client_stops_what_can_be_stopped(port):
    seen = run(
        BUS
        + """
import threading
a.set_jog_step_size(0)
threading.Timer(0.5, a.stop).start()
seen["jogged"] = a.forward(timeout=20)
seen["stopped"], seen["after"] = int(a.get_status()), a.get_position()
threading.Timer(0.3, a.stop).start()
seen["optimised"] = int(a.optimize_motors(timeout=20))
a.set_velocity(25)
mover = threading.Thread(target=lambda: seen.update(moved=a.move_absolute(0)))
mover.start()
time.sleep(0.1)
a.stop()
mover.join()
""",
        port,
    )
    assert seen["jogged"] is None  # a status, which has no position
    assert (seen["stopped"], seen["optimised"]) == (0, 0)
    assert seen["after"] > 100
    assert seen["moved"] == pytest.approx(0, abs=0.01)  # a bounded move runs to its end


def test_the_other_client_groups_isolates_and_gives_addresses(port):
    port.instrument.minute = 0.3
    seen = run(
        BUS
        + """
b.group_address("0")
seen["leader"] = a.move_absolute(30)
time.sleep(0.2)
seen["follower"] = b.get_position()
c = stages["A"]
c.change_address("5")
seen["moved to 5"] = c.move_absolute(10)
seen["scan"] = bus.scan(timeout=0.1)
c.isolate_minutes(1)
try:
    c.get_position()
except Exception as error:
    seen["isolated"] = type(error).__name__
time.sleep(0.4)
seen["released"] = [int(c.get_status()), int(c.get_status())]
seen["searched"] = int(c.search_frequency(1))
""",
        port,
    )
    assert [seen["leader"], seen["follower"], seen["moved to 5"]] == pytest.approx([30, 30, 10], abs=0.01)
    assert seen["scan"] == ["0", "3", "5"]
    assert seen["isolated"] == "ElliptecTimeoutError"
    assert seen["released"] == [6, 0]
    assert seen["searched"] == 0


def test_the_other_client_hears_of_errors(port):
    seen = run(
        BUS
        + """
seen["slow"] = [a.set_velocity(10), code(lambda: a.move_absolute(10)), int(a.get_status()), int(a.get_status())]
seen["direction"] = code(lambda: b.home(2))
seen["unknown"] = code(lambda: bus.request("0", "zz"))
""",
        port,
    )
    # The error is told at the end of the move, and again when the status is asked for; that clears it.
    assert seen == {"slow": [None, 2, 2, 0], "direction": 4, "unknown": 3}


def test_the_other_client_hears_the_keypad(port):
    script = (
        BUS
        + """
print("ready", flush=True)
seen["heard"] = [bus.read_reply(timeout=10).raw.decode() for _ in range(2)]
"""
    )
    command = [sys.executable, "-c", PRELUDE + script + EPILOGUE, port.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        ender = threading.Timer(60, child.kill)
        ender.start()
        assert child.stdout.readline() == "ready\n"
        port.call(lambda now: port.instrument.press("3", now))
        seen = json.loads(child.stdout.readline())
        assert child.wait(20) == 0
        ender.cancel()
        ender.join()
    assert seen["heard"] == ["3BS09", "3BO00008C00"]
