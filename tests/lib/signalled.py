"""A program with an axis, an engine and a session's signal handlers: ``python signalled.py PORT``. Tests send signals.

It does one word of its input after the other, and says what became of it, each with the time (``time.monotonic_ns``).
"""

import contextlib
import gc
import signal
import sys
import threading
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.startup import _signals
from rdaq_ophyd.startup._latched import latched
from rdaq_ophyd.startup._run_engine import make_run_engine, stop_loop
from rdaq_ophyd.startup._signals import Signals
from rdaq_ophyd.stop import latch, reset


def say(*words) -> None:
    sys.stdout.write(" ".join(map(str, ("SAID", *words, "at", time.monotonic_ns()))) + "\n")
    sys.stdout.flush()


async def connected(url):
    stage = Esp300(url, {1: "x"}, name="stage")
    await stage.connect()
    await stage.x.velocity.set(0.5)
    await stage.x.enabled.set(True)
    return stage


async def closed(stage):
    stage.close()


def main(url: str) -> None:
    """Serve words until the input ends."""
    devices: dict = {}
    RE = make_run_engine({}, scan_id_source=lambda md: 1, devices=devices.values, person=False)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: say("closed"))
        stack.callback(stop_loop, RE)
        stack.enter_context(latched("signalled", person=True))
        signals = stack.enter_context(Signals(RE))
        RE.context_managers.append(signals.during_plan)
        stack.enter_context(RE.plan_end)
        stage = devices["stage"] = call_in_bluesky_event_loop(connected(url), timeout=20)
        stack.callback(lambda: call_in_bluesky_event_loop(closed(stage), timeout=20))
        stack.callback(RE.plan_end.wait)
        stack.callback(signals.settle)
        say("ready")
        for line in sys.stdin:
            Words(RE, stage.x).do(line.strip())


class Words:
    """What can be asked for."""

    def __init__(self, RE, x):
        self.RE, self.x = RE, x

    def do(self, word: str) -> None:
        getattr(self, word)()

    def plan(self, clean_up=0.2, meanwhile=None):
        def clean():
            say("clean-up")
            yield from bps.sleep(clean_up)
            say("cleaned up")

        def move():
            yield from bps.checkpoint()
            say("moving")
            yield from bps.abs_set(self.x, 20.0, group="there")
            if meanwhile is not None:
                meanwhile.start()
            yield from bps.wait("there")

        return bpp.finalize_wrapper(move(), clean)

    def move(self, meanwhile=None) -> None:
        try:
            self.RE(self.plan(meanwhile=meanwhile))
        except RunEngineInterrupted as error:
            say(self.RE.state, str(error).split("\n")[0] if latch.tripped else "")

    def hang(self) -> None:
        """A clean-up that takes for ever."""
        _signals.CLEAN_UP = 0.5
        self.RE(self.plan(clean_up=1e6))

    def abort(self) -> None:
        self.RE.abort()
        say("aborted", self.RE.state)

    def wait(self) -> None:
        """At a prompt, so to say."""
        with contextlib.suppress(KeyboardInterrupt):
            say("waiting")
            threading.Event().wait(30)
        say("interrupted")

    def astray(self) -> None:
        """The system gives Ctrl-C to another thread than the main one."""
        self.move(threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)))

    def collect(self) -> None:
        """As garbage is collected; what is raised there is dropped."""
        gc.callbacks.append(self._collecting)
        with contextlib.suppress(KeyboardInterrupt):
            gc.collect()
            threading.Event().wait(60)
        say("interrupted")

    def _collecting(self, phase: str, info: object) -> None:
        gc.callbacks.remove(self._collecting)
        say("collecting")
        threading.Event().wait(60)

    def reset(self) -> None:
        reset("the test goes on")
        say("reset")


main(*sys.argv[1:])
