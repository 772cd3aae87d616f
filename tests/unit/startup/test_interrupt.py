"""Ctrl-C: the stops are written by the handler itself, then a hard pause; also with the event loop blocked."""

import os
import signal
import threading
import time

import pytest
from bluesky import RunEngine, RunEngineInterrupted
from bluesky import plan_stubs as bps

from rdaq_ophyd.startup._interrupt import PauseOnInterrupt


def interrupt_when(condition):
    def wait_and_kill():
        if condition.wait(20):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def test_sigint_halts_then_pauses(engine: RunEngine):
    halted, running = threading.Event(), threading.Event()
    engine.context_managers = [lambda RE: PauseOnInterrupt(RE, halt=halted.set)]

    def plan():
        yield from bps.checkpoint()
        running.set()
        yield from bps.sleep(60)

    before = signal.getsignal(signal.SIGINT)
    thread = interrupt_when(running)
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    thread.join()
    assert halted.is_set()
    assert engine.state == "paused"
    assert signal.getsignal(signal.SIGINT) is before
    engine.abort()
    assert engine.state == "idle"


def test_the_stops_do_not_wait_for_the_event_loop(engine: RunEngine):
    halted, running = threading.Event(), threading.Event()
    engine.context_managers = [lambda RE: PauseOnInterrupt(RE, halt=halted.set)]
    seen = []

    def plan():
        yield from bps.checkpoint()
        running.set()
        # The loop itself is blocked here; only the signal handler in the main thread can act.
        seen.append(halted.wait(20))
        yield from bps.sleep(60)

    thread = interrupt_when(running)
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    thread.join()
    assert seen == [True]
    engine.abort()


def test_outside_the_main_thread_nothing_is_touched(engine: RunEngine):
    engine.context_managers = [lambda RE: PauseOnInterrupt(RE, halt=lambda: None)]
    results = []
    thread = threading.Thread(target=lambda: results.append(engine(bps.null())))
    thread.start()
    thread.join(20)
    assert results[0].exit_status == "success"


def test_a_signal_with_nothing_to_pause_is_not_an_error(engine: RunEngine):
    with_handler = PauseOnInterrupt(engine, halt=lambda: None)
    with_handler.__enter__()
    os.kill(os.getpid(), signal.SIGINT)
    end = time.monotonic() + 10
    while not with_handler._requests.empty() and time.monotonic() < end:
        threading.Event().wait(0.01)
    with_handler.__exit__(None, None, None)
    assert engine.state == "idle"
