"""Whatever a script's process does, the rig goes on: ports, data and stop are not its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from bluesky import RunEngineInterrupted
from planthread import PlanThread, wait
from scripted import a_lab, none_left, of_scripts

from rdaq_ophyd import stop
from rdaq_ophyd.errors import LimitError, ProfileError, ScriptFailed, UnknownName
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.scripts import _framing as framing

# tests/system traces the same processes; these end too soon to tell.
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def lab(nothing_left_by_module):
    with a_lab() as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_stays(lab):
    lab.log.clear()
    yield
    if lab.RE.state == "paused":
        lab.RE.abort()
    none_left()
    assert lab.RE.state == "idle"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("os._exit(3)", "ended with exit code 3"),
        ("sys.exit('enough')", r"it called exit\('enough'\)"),
        ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV"),
        ("bytearray(8 << 30)", "MemoryError"),
        ("1 / 0", "ZeroDivisionError: division by zero .*scan.py:1[0-9]: 1 / 0"),
        ("os.close(int(FD))", "closed its pipe"),
        ("os.write(int(FD), b'GET / HTTP/1.1\\r\\n\\r\\n')", "sent something that is no message: a frame of"),
        ("os.write(int(FD), b'\\0\\0\\0\\x0b{\"step\": 99}')", "sent something that is no message"),
    ],
)
def test_a_process_that_ends_or_talks_nonsense_fails_its_plan_alone(lab, does, said):
    with pytest.raises(ScriptFailed, match=f"(?s){said}"):
        lab.run(f"""
            FD = sys.orig_argv[sys.orig_argv.index("rdaq_ophyd.scripts.child") + 1]
            def plan(x: Movable[float]):
                yield from bps.mv(x, 1)
                yield from bpp.finalize_wrapper(work(x), bps.mv(x, 0))
            def work(x):
                {does}
                time.sleep(20)
                yield from bps.mv(x, 2)
        """)
    assert "x moves to 2" not in lab.log
    assert "x stop" in lab.log  # the engine's own clean-up


def test_light_that_it_left_on_is_off(lab):
    plan = """
        from rdaq_ophyd.plans import with_light
        def plan(x: Movable[float], laser: Readable):
            yield from with_light(laser, work(x))
        def work(x):
            yield from bps.mv(x, 1)
            os._exit(1)
    """
    with pytest.raises(ScriptFailed, match="ended with exit code 1"):
        lab.run(plan)
    on = [line for line in lab.log if line.startswith(("shutter", "emission"))]
    assert on == ["emission on", "shutter on", "shutter off", "emission off"]


def test_one_that_hangs_is_given_up(lab):
    begun = time.monotonic()
    with pytest.raises(ScriptFailed, match=r"did not go on within 0\.5 s before its plan was over"):
        lab.run(
            """
            def plan(x: Movable[float]):
                yield from bps.mv(x, 1)
                while True:
                    pass
            """,
            limits=ScriptLimits(thinking=0.5, ending=0.5),
        )
    assert time.monotonic() - begun < 20


HANGS = """
    def plan(x: Movable[float]):
        yield from bpp.finalize_wrapper(think(x), bps.mv(x, 7))
    def think(x):
        yield from bps.mv(x, 1)
        print("thinking")
        while True:
            {}
"""


@pytest.mark.parametrize("how", ["abort", "halt", "stop_all"])
def test_one_that_hangs_is_ended_at_once_with_its_clean_up(lab, how):
    running = PlanThread(lab.RE, lab.load(HANGS.format("pass"), limits=ScriptLimits(thinking=60)).plan)
    wait(lambda: "thinking" in lab.printed)
    begun = time.monotonic()
    if how == "stop_all":
        stop.stop_all("enough", by="a test")
    else:
        getattr(lab.RE, how)()
    assert running.end() is None
    assert isinstance(running.error, RunEngineInterrupted)
    assert time.monotonic() - begun < 4
    assert ("x moves to 7" in lab.log) == (how == "abort")


CATCHES = """
    def plan(x: Movable[float]):
        for number in range(1_000_000):
            try:
                yield from bps.mv(x, number % 2)
                yield from bps.sleep(0.01)
            except Exception as error:
                print("left out:", type(error).__name__)
"""


@pytest.mark.parametrize("how", ["abort", "halt", "stop_all"])
def test_one_that_catches_its_end_is_ended_with_its_process(lab, monkeypatch, how):
    monkeypatch.setattr(lab.RE, "clean_up", 0.5)
    monkeypatch.setattr(lab.RE, "stopped_clean_up", 0.5)
    running = PlanThread(lab.RE, lab.load(CATCHES).plan)
    wait(lambda: "x moves to 1" in lab.log)
    if how == "stop_all":
        stop.stop_all("enough", by="a test")
        stop.reset("looked", force=True)  # these axes cannot tell that they stand
        lab.log.clear()
    else:
        getattr(lab.RE, how)()
    assert running.end() is None
    assert isinstance(running.error, RunEngineInterrupted)
    assert how != "abort" or "left out: RequestAbort" in lab.printed
    assert how != "stop_all" or not [line for line in lab.log if "moves" in line]
    none_left()


def test_what_it_awaits_by_itself_is_left_at_once(lab):
    script = lab.load("""
        import asyncio
        class Note:
            name, parent = "note", None
            def pause(self):
                print("paused")
            def resume(self):
                print("resumed")
        def plan(x: Movable[float]):
            yield Msg("null", Note())
            yield from bps.checkpoint()
            yield from bpp.finalize_wrapper(bps.wait_for([wait]), bps.mv(x, 7))
        async def wait():
            print("waiting")
            await asyncio.sleep(60)
    """)
    running = PlanThread(lab.RE, script.plan)
    wait(lambda: "waiting" in lab.printed)
    lab.RE.request_pause()
    assert running.end() is None
    assert lab.RE.state == "paused"
    wait(lambda: "paused" in lab.printed)
    resumed = PlanThread(Resume(lab.RE), None)
    wait(lambda: lab.printed.count("waiting") == 2)
    lab.RE.abort("enough")
    assert resumed.end() is None
    assert "x moves to 7" in lab.log


class Resume:
    """Resumes where a plan would be run."""

    def __init__(self, engine):
        self._engine = engine

    def __call__(self, _plan):
        return self._engine.resume()


OWNER = '''
import sys
sys.path.insert(0, {lib!r})
from planthread import PlanThread, wait
from scripted import a_lab, of_scripts
with a_lab() as lab:
    script = lab.load("""
        def plan():
            yield from bps.null()
            print("thinking")
            while True:
                pass
    """)
    PlanThread(lab.RE, script.plan)
    wait(lambda: lab.printed)
    print(*(process.pid for process in of_scripts()), flush=True)
    wait(lambda: False)
'''


def test_it_ends_with_the_rig_however_that_ends():
    lib = str(Path(__file__).parents[1] / "lib")
    with subprocess.Popen([sys.executable, "-c", OWNER.format(lib=lib)], stdout=subprocess.PIPE, text=True) as owner:
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
    wait(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_one_that_hears_no_signal_is_ended_too(lab):
    plan = HANGS.format("import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); time.sleep(60)")
    running = PlanThread(lab.RE, lab.load(plan, limits=ScriptLimits(thinking=60, ending=0.5)).plan)
    wait(lambda: "thinking" in lab.printed)
    lab.RE.abort("enough")
    assert running.end() is None
    assert "x moves to 7" not in lab.log


def test_while_it_thinks_the_plan_is_paused_and_goes_on(lab):
    script = lab.load("""
        def plan(x: Movable[float]):
            yield from bps.checkpoint()
            yield from bps.mv(x, 1)
            print("thinking")
            while not os.path.exists("/proc/self/cwd/go"):
                time.sleep(0.001)
            yield from bps.mv(x, 2)
            return "done"
    """)
    running = PlanThread(lab.RE, script.plan)
    wait(lambda: "thinking" in lab.printed)
    begun = time.monotonic()
    lab.RE.request_pause()
    assert running.end() is None
    assert time.monotonic() - begun < 2
    assert lab.RE.state == "paused"
    (process,) = of_scripts()
    (open(os.path.join(process.cwd(), "go"), "w")).close()
    assert lab.RE.resume().plan_result == "done"
    assert [line for line in lab.log if "moves" in line] == ["x moves to 1", "x moves to 1", "x moves to 2"]


def test_how_it_ended_is_told_although_its_pipe_closes_first(lab):
    with pytest.raises(ScriptFailed, match="ended with exit code 3"):
        lab.run("""
            FD = sys.orig_argv[sys.orig_argv.index("rdaq_ophyd.scripts.child") + 1]
            def plan():
                yield from bps.null()
                os.close(int(FD))
                time.sleep(0.3)
                os._exit(3)
        """)


def test_one_that_prints_without_end_costs_little(lab):
    with pytest.raises(ScriptFailed, match="did not go on"):
        lab.run(
            """
            def plan(x: Movable[float]):
                yield from bps.mv(x, 1)
                while True:
                    print("spam " * 10)
            """,
            limits=ScriptLimits(thinking=1.5, ending=0.5),
        )
    assert 100 < len(lab.printed) < 5000
    assert any("lines were left out]" in line for line in lab.printed)
    assert max(map(len, lab.printed)) < 3000


def test_it_has_none_of_the_rigs_files_and_little_of_its_environment(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("RDAQ_TOKEN", "secret")
    with open(tmp_path / "port", "w") as port:
        os.set_inheritable(port.fileno(), True)
        text = lab.run("""
            import resource, select
            def plan():
                yield from bps.null()
                files = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if n != "3"
                         and os.path.exists(f"/proc/self/fd/{n}")]
                return [files, sorted(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), os.nice(0), os.listdir(),
                        resource.getrlimit(resource.RLIMIT_AS)[0], sys.stdin.read()]
        """)
    files, names, folder, alone, nice, listed, memory, typed = eval(text)
    assert not any("port" in name for name in files)
    assert "RDAQ_TOKEN" not in names
    assert os.path.basename(folder).startswith("rdaq-script-")
    assert (alone, listed, memory, typed) == (True, ["scan.py"], 4 << 30, "")
    assert nice >= 5
    assert not os.path.exists(folder)


@pytest.mark.parametrize(
    ("text", "arguments", "error", "said"),
    [
        ("def plan(x: Movable[float]:", (), ProfileError, r"scan.py:\d+: invalid syntax|was never closed"),
        ("os._exit(2)", (), ScriptFailed, "scan.py ended with exit code 2 while it was loaded"),
        ("def plan(x: Movable[float], n: int):\n    yield", (), LimitError, "n has no value|parameter n"),
        ("def plan(x: Movable[float]):\n    yield", ("--x", "z"), UnknownName, "unknown device 'z'"),
        ("time.sleep(60)", (), ScriptFailed, r"did not go on within 3 s while"),
    ],
)
def test_a_script_that_cannot_be_loaded_says_why(lab, text, arguments, error, said):
    with pytest.raises(Exception, match=said) as caught:
        lab.load(text, *arguments, limits=ScriptLimits(loading=3.0 if "sleep" in text else 60.0))
    assert isinstance(caught.value, error) or error is LimitError


def test_frames_have_a_limit():
    with pytest.raises(LimitError, match="too many for a message"):
        framing.pack({"x": "a" * 1000}, 1000)
