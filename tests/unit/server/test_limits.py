"""How much a server takes, of one client and of all; a stop always passes."""

import contextlib

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rdaq_ophyd.errors import LimitError, TooMuch, UnknownName
from rdaq_ophyd.server import Limits, _limits
from rdaq_ophyd.server._limits import KNOWN_CLIENTS, Gate


@pytest.fixture
def clock(monkeypatch):
    """Time stands still until it is told to go on."""
    now = [1000.0]
    monkeypatch.setattr(_limits.time, "monotonic", lambda: now[0])
    return now


def test_limits_are_changed_by_name():
    assert Limits().changed(["calls=7", "client_rate=2.5"]) == Limits(calls=7, client_rate=2.5)
    assert Limits().changed([]) == Limits()


@pytest.mark.parametrize(
    ("word", "error", "said"),
    [
        ("cals=7", UnknownName, "unknown limit 'cals' → did you mean calls"),
        ("calls", LimitError, "write calls=NUMBER"),
        ("calls=many", LimitError, "write calls=NUMBER"),
        ("calls=0", LimitError, "give 1 or more"),
        ("client_rate=nan", LimitError, "limit client_rate = nan"),
        ("client_rate=inf", LimitError, "limit client_rate = inf"),
        ("request_bytes=99999999999", LimitError, "below 2 to the power of 31"),
    ],
)
def test_what_is_no_limit_is_refused(word, error, said):
    with pytest.raises(error, match=said):
        Limits().changed([word])


def calls(gate, who, number, call="Read", stream=False):
    """How many of so many calls were served, one after the other."""
    served = 0
    for _ in range(number):
        try:
            with gate.admitted(who, call, stream=stream):
                served += 1
        except TooMuch:
            continue
    return served


def test_a_client_that_asks_too_often_is_slowed_down_alone(clock):
    gate = Gate(Limits(client_rate=10, client_burst=20))
    assert calls(gate, "greedy", 50) == 20
    assert calls(gate, "modest", 5) == 5
    assert calls(gate, "greedy", 50, "StopAll") == 50
    clock[0] += 1.0
    assert calls(gate, "greedy", 50) == 10
    clock[0] += 100.0
    assert calls(gate, "greedy", 50) == 20


def test_a_stop_passes_when_nothing_else_does(clock):
    gate = Gate(Limits(calls=1, streams=1, client_streams=1))
    with gate.admitted("a", "Read", stream=False):
        with pytest.raises(TooMuch, match=r"1 calls are under way \(calls\)"), gate.admitted("b", "Read", stream=False):
            pass
        with gate.admitted("b", "StopAll", stream=False):
            pass
    with gate.admitted("b", "Read", stream=False):
        pass


def test_one_client_leaves_room_for_the_others_and_stops_take_none(clock):
    gate = Gate(Limits(calls=3, client_calls=2))
    with contextlib.ExitStack() as held:
        for _ in range(50):
            held.enter_context(gate.admitted("greedy", "StopAll", stream=False))
        for _ in range(2):
            held.enter_context(gate.admitted("greedy", "Read", stream=False))
        with (
            pytest.raises(TooMuch, match=r"2 calls of yours are under way \(client_calls\)"),
            gate.admitted("greedy", "Read", stream=False),
        ):
            pass
        with gate.admitted("modest", "Read", stream=False):
            pass


def test_clients_are_counted_and_forgotten(clock):
    gate = Gate(Limits())
    for number in range(KNOWN_CLIENTS + 50):
        calls(gate, f"client {number}", 1)
    assert len(gate._clients) == KNOWN_CLIENTS
    assert "client 0" not in gate._clients
    clock[0] += 31
    assert gate.clients() == 0
    with gate.admitted("long", "WatchState", stream=True):
        clock[0] += 1000
        assert gate.clients() == 1
        for number in range(KNOWN_CLIENTS + 50):
            calls(gate, f"other {number}", 1)
        assert gate._clients["long"].streams == 1  # one with a call under way is not forgotten
    assert gate._clients["long"].streams == 0


def test_a_plan_is_begun_with_so_much_and_no_more():
    gate = Gate(Limits(plan_bytes=100))
    gate.check_size("RunPlan", 100)
    gate.check_size("Set", 101)
    with pytest.raises(LimitError, match=r"101 bytes of arguments and metadata → at most 100 \(plan_bytes\)"):
        gate.check_size("RunPlan", 101)


class Calls(RuleBasedStateMachine):
    """Calls begin and end in any order; the limits hold at every moment."""

    limits = Limits(calls=6, streams=4, client_calls=3, client_streams=2)

    def __init__(self):
        super().__init__()
        self.gate, self.open = Gate(self.limits), []

    @rule(who=st.sampled_from("abc"), call=st.sampled_from(["Read", "WatchState", "StopAll"]))
    def begin(self, who, call):
        stream = call == "WatchState"
        admitted = self.gate.admitted(who, call, stream=stream)
        counted = self.counted_calls()
        streams = [w for w, s, _ in counted if s]
        full = len(counted) >= 6 or [w for w, _, _ in counted].count(who) >= 3
        full = full or (stream and (len(streams) >= 4 or streams.count(who) >= 2))
        try:
            admitted.__enter__()
        except TooMuch:
            assert full
            assert call != "StopAll"
        else:
            assert call == "StopAll" or not full
            self.open.append((who, None if call == "StopAll" else stream, admitted))

    def counted_calls(self):
        """A stop is none of them."""
        return [each for each in self.open if each[1] is not None]

    @rule(place=st.integers(0, 20))
    def end(self, place):
        if self.open:
            self.open.pop(place % len(self.open))[2].__exit__(None, None, None)

    @invariant()
    def counted(self):
        assert self.gate._calls == len(self.counted_calls())
        assert self.gate._streams == sum(stream for _, stream, _ in self.counted_calls())
        assert self.gate.clients() <= 3

    def teardown(self):
        for _, _, admitted in self.open:
            admitted.__exit__(None, None, None)
        assert self.gate._calls == self.gate._streams == 0


TestCalls = Calls.TestCase
