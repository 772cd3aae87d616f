"""Alive or not, ready or not: told by loops that really hang, and a catalog that goes away."""

import asyncio
import errno
import threading
import time
from types import SimpleNamespace

import pytest

from rdaq_ophyd.operations import Health, Notifier
from rdaq_ophyd.operations import _health as health


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(health, "EVERY", 0.01)


@pytest.fixture
def loop():
    """An event loop of its own thread."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(10)
    made.close()


@pytest.fixture
def session():
    """As much of a session as is looked at."""
    return SimpleNamespace(
        rig=SimpleNamespace(failures={}, devices={"x": 1}),
        catalog=SimpleNamespace(serving=True, delivering=True),
        signals=SimpleNamespace(ending=0),
        RE=SimpleNamespace(state="idle"),
    )


class Manager(Notifier):
    """Hears what a service manager would."""

    def __init__(self, every=None):
        self.every, self.said = every, []

    def __bool__(self):
        return True

    def tell(self, **said):
        self.said.append(said)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def failing(checks):
    return {check.name for check in checks if not check.well}


@pytest.fixture
def make(session, loop):
    made = []

    def health_of(**options):
        one = Health(session, {"engine": loop}, **{"hangs": 0.3, "patience": 0.3} | options)
        made.append(one)
        return one

    yield health_of
    for each in made:
        each.close()


def test_a_loop_that_hangs_is_no_life_until_it_runs_again(make, loop):
    told, manager, go_on = [], Manager(every=0.02), threading.Event()
    one = make(tell=told.append, notifier=manager)
    until(lambda: told == [True])
    loop.call_soon_threadsafe(go_on.wait, 10)
    until(lambda: told == [True, False])
    assert failing(one.live()) == failing(one.ready()) == {"loop engine"}
    beats = sum("WATCHDOG" in said for said in manager.said)
    assert beats
    until(lambda: one.silences()["engine"] > 0.4)
    assert sum("WATCHDOG" in said for said in manager.said) == beats  # systemd is to start it anew
    go_on.set()
    until(lambda: told == [True, False, True])
    until(lambda: sum("WATCHDOG" in said for said in manager.said) > beats)


def test_a_catalog_may_be_away_for_a_while(make, session):
    told = []
    session.catalog.delivering = False
    one = make(tell=told.append, patience=0.4)
    until(lambda: told == [True])
    assert failing(one.ready()) == {"catalog"}
    assert one.serving()
    until(lambda: told == [True, False])
    assert failing(one.live()) == set()  # starting it anew would not help
    session.catalog.delivering = True
    until(lambda: told == [True, False, True])
    assert failing(one.ready()) == set()


def test_a_device_that_failed_is_no_reason_not_to_serve(make, session):
    session.rig.failures["x"] = RuntimeError("no such port")
    one = make()
    assert [check.detail for check in one.ready() if not check.well] == ["x: no such port"]
    assert one.serving()


def test_the_end_is_told_once(make, session):
    manager = Manager()
    one = make(notifier=manager)
    until(lambda: {"STATUS": "1 devices; the engine is idle"} in manager.said)
    session.signals.ending = 15
    until(lambda: any("STOPPING" in said for said in manager.said))
    assert failing(one.ready()) == {"staying"}
    one.close()
    assert sum("STOPPING" in said for said in manager.said) == 1


def test_a_look_that_fails_is_not_the_last_and_hides_no_other(make, session, caplog):
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) < 20:
            raise ValueError("odd")

    manager = Manager(every=0.0)
    make(tick=tick, notifier=manager)
    until(lambda: len(ticks) > 5)
    assert {"WATCHDOG": 1} in manager.said
    until(lambda: len(ticks) > 25)
    told = [record for record in caplog.records if "a look at the daemon's health failed: tick" in record.getMessage()]
    assert len(told) == 1, "twice a second would fill the log"


class WithoutDescriptors:
    """A catalog that cannot be looked at: each look opens a file."""

    @property
    def serving(self):
        raise OSError(errno.EMFILE, "Too many open files")

    delivering = serving


def test_signs_of_life_come_whatever_cannot_be_looked_at(make, session, caplog):
    session.catalog, manager, told = WithoutDescriptors(), Manager(every=0.0), []
    one = make(notifier=manager, tell=told.append, patience=0.05)
    until(lambda: {"WATCHDOG": 1} in manager.said)
    until(lambda: told == [True, False] or told == [False])
    (catalog,) = [check for check in one.ready() if check.name == "catalog"]
    assert not catalog.well
    assert "Tiled (Too many open files) and its worker (Too many open files) away" in catalog.detail
    assert failing(one.live()) == set()
    session.catalog = SimpleNamespace(serving=True, delivering=True)
    until(lambda: told[-1])
