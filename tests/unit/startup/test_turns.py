"""One plan at a time, or hands that each move something else; whoever comes second is told who was first."""

import threading

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngineInterrupted
from hypothesis import given
from hypothesis import strategies as st
from planthread import PlanThread, wait

from rdaq_ophyd.errors import EngineBusy
from rdaq_ophyd.startup._turns import Turns
from rdaq_ophyd.stop import reset, stop_all


class Part:
    def __init__(self, parent=None):
        self.parent = parent


STAGE = Part()
X, Y = Part(STAGE), Part(STAGE)
HOME = Part(X)


def test_no_plan_begins_while_something_is_moved_by_hand(rig):
    began = []

    def plan():
        began.append(True)
        yield from bps.null()

    with rig.RE.turns.by_hand("x", "alice", rig.x, alone=True):
        assert rig.RE.turns.moving == ["x"]
        with pytest.raises(EngineBusy, match="plan was not begun: x is set by hand, by alice → wait"):
            rig.RE(plan())
    assert not began
    assert rig.RE(plan()).exit_status == "success"


def test_while_a_plan_is_under_way_there_is_no_other_and_no_hand(rig):
    rig.x.free = False
    thread = PlanThread(rig.RE, bps.mv(rig.x, 1))
    wait(lambda: rig.x.moving)
    with pytest.raises(EngineBusy, match="count was not begun: .* is running → wait, or end that one"):
        rig.RE.turns.take("count")
    with pytest.raises(EngineBusy, match="plan was not begun: .* is running"):
        rig.RE(bps.null())
    with pytest.raises(EngineBusy, match="y was not touched: .* is running"), rig.RE.turns.by_hand("y", "alice"):
        raise AssertionError("let in")
    rig.x.free = True
    assert thread.end().exit_status == "success"
    with rig.RE.turns.by_hand("y", "alice"):
        pass


def test_a_paused_plan_keeps_its_turn_until_it_is_over(rig):
    rig.x.free = False
    thread = PlanThread(rig.RE, bps.mv(rig.x, 1))
    wait(lambda: rig.x.moving)
    rig.RE.request_pause()
    thread.end()
    assert isinstance(thread.error, RunEngineInterrupted)
    if rig.RE.state == "paused":
        with pytest.raises(EngineBusy, match="is paused"):
            rig.RE.turns.take("count")
        rig.RE.abort()
    assert rig.RE.turns.plan == ""
    rig.RE.turns.take("count")
    with pytest.raises(EngineBusy, match="x was not touched: count is beginning"), rig.RE.turns.by_hand("x", "alice"):
        raise AssertionError("let in")
    rig.RE.run_taken(bps.null())
    assert rig.RE.turns.plan == ""


def test_a_turn_that_is_not_used_is_given_back():
    turns = Turns(lambda: "idle")
    turns.take("count")
    turns.give_back()
    turns.take("scan")
    with pytest.raises(EngineBusy):
        turns.take("count")


def test_a_plan_waits_for_the_call_of_one_that_is_over():
    turns, returned = Turns(lambda: "idle"), threading.Event()
    turns.take("count")

    def call():
        with turns.call(lambda: False):
            turns.at_rest()
            returned.wait(10)

    thread = threading.Thread(target=call)
    thread.start()
    wait(lambda: turns.is_returning)
    turns.check("scan")  # it could soon begin
    with turns.by_hand("x", "alice"):
        pass
    with pytest.raises(EngineBusy):
        turns.take("scan")
    threading.Timer(0.05, returned.set).start()
    turns.take("scan", wait=10)
    assert turns.plan == "scan"
    thread.join(10)


@pytest.mark.parametrize(("first", "second"), [(X, X), (X, HOME), (HOME, X), (STAGE, X), (X, STAGE)])
def test_two_do_not_move_one_device_or_its_parts(first, second):
    turns = Turns(lambda: "idle")
    with turns.by_hand("first", "alice", first, alone=True):
        with (
            pytest.raises(EngineBusy, match="second was not touched: alice moves first → wait"),
            turns.by_hand("second", "bob", second),
        ):
            raise AssertionError("let in")
        with turns.by_hand("y", "bob", Y, alone=True) if first is not STAGE else turns.by_hand("s", "bob"):
            assert len(turns.moving) == 2
    with turns.by_hand("second", "bob", second, alone=True):
        assert turns.moving == ["second"]


@given(st.lists(st.sampled_from(["plan", "x", "y", "set", "end"]), max_size=30))
def test_a_plan_and_hands_never_go_together(steps):
    turns, held = Turns(lambda: "idle"), []
    for what in steps:
        try:
            if what == "end" and held:
                held.pop()()
            elif what == "plan":
                turns.take("plan")
                held.append(turns.give_back)
            elif what != "end":
                device = {"x": X, "y": Y, "set": None}[what]
                hand = turns.by_hand(what, "alice", device, alone=device is not None)
                hand.__enter__()
                held.append(lambda hand=hand: hand.__exit__(None, None, None))
        except EngineBusy:
            assert held  # somebody was first
        assert not (turns.plan and turns.moving)
        assert [hand.name for hand in turns._hands].count("x") <= 1
        assert len(held) == len(turns._hands) + bool(turns.plan)


def test_moves_by_hand_are_told_as_they_begin_and_end_and_sets_are_not():
    turns, told = Turns(lambda: "idle"), []
    turns.observers.append(lambda: told.append(turns.moving))
    with turns.by_hand("x", "alice", X, alone=True):
        with turns.by_hand("y.velocity", "bob"):
            pass
        with pytest.raises(EngineBusy), turns.by_hand("x", "bob", X, alone=True):
            pass
        with turns.by_hand("y", "bob", Y, alone=True):
            pass
    assert told == [["x"], ["x", "y"], ["x"], []]


@pytest.mark.parametrize(("stopped", "hands"), [(X, {"x"}), (STAGE, {"x", "y"}), (HOME, {"x"}), (Part(), set())])
def test_a_stop_of_a_device_is_told_to_the_hands_at_it_and_at_its_parts(stopped, hands):
    turns = Turns(lambda: "idle")
    with turns.by_hand("x", "alice", X, alone=True) as x, turns.by_hand("y", "bob", Y, alone=True) as y:
        turns.stopped(stopped)
        assert {hand.name for hand in (x, y) if hand.stopped} == hands
    with turns.by_hand("x", "alice", X, alone=True) as x:
        assert not x.stopped


class Held(threading.Event):
    """Is not set before it may be."""

    def __init__(self):
        super().__init__()
        self.asked, self.may = threading.Event(), threading.Event()

    def set(self):
        self.asked.set()
        assert self.may.wait(20)
        super().set()


def test_the_next_plan_begins_when_all_know_of_the_end_of_one_that_was_paused(rig, monkeypatch):
    """Bluesky's word that the task has ended would let the call of the next plan return, which goes on."""
    with pytest.raises(RunEngineInterrupted):
        rig.RE(bps.pause())
    ended = Held()
    monkeypatch.setattr(rig.RE, "_blocking_event", ended)
    stopping = threading.Thread(target=stop_all, args=("smoke",))
    stopping.start()
    try:
        assert ended.asked.wait(20)
        assert rig.RE.state == "idle"
        assert not rig.RE.turns.wait_over(0)
    finally:
        ended.may.set()
        stopping.join(20)
    reset("looked")  # which waits for the plan
    rig.x.free = True
    assert rig.RE(bps.mv(rig.x, 1)).exit_status == "success"
    assert "x moves to 1" in rig.log
