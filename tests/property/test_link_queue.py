"""A link's queue, whatever is asked and cancelled: nobody starves or is forgotten, no answer is shared late."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rdaq_ophyd.errors import QueueFull
from rdaq_ophyd.link import Lane, Line
from rdaq_ophyd.link._queue import LaneQueue
from rdaq_ophyd.link._transaction import Transaction

BOUND = 6
lanes, devices, texts = st.sampled_from(list(Lane)), st.sampled_from("xyz"), st.sampled_from([b"A", b"B"])


class Queueing(RuleBasedStateMachine):
    """``asked``: who still waits for an answer, and which devices were served meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = LaneQueue("port", BOUND)
        self.asked: list[dict] = []

    @rule(lane=lanes, who=devices, text=texts, share=st.booleans())
    def ask(self, lane: Lane, who: str, text: bytes, share: bool):
        transaction = Transaction(text, Line(), lane, 1.0, True, who, share)
        ahead = sum(waiting.who == who for waiting in self.queue._lanes[lane])
        entry = {"future": transaction.future, "text": text, "lane": lane, "who": who, "share": share}
        entry |= {"ahead": ahead, "passed_by": []}
        try:
            self.queue.put(transaction)
        except QueueFull:
            # Shells of questions that a more urgent one took over count until their turn, never what was cancelled.
            assert len(self.queue._lanes[lane]) == BOUND
        else:
            self.asked.append(entry)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data):
        entry = data.draw(st.sampled_from(self.asked))
        assert entry["future"].cancel()
        self.asked.remove(entry)

    @precondition(lambda self: self.asked)
    @rule()
    def serve(self):
        transaction = self.queue._next()
        assert transaction is not None, "somebody waits, but nothing is asked"
        assert transaction.begin()
        transaction.answer(transaction.command)
        answered = [entry for entry in self.asked if entry["future"].done()]
        assert answered, "asked for nobody"
        assert len(answered) == 1 or all(entry["share"] for entry in answered)
        assert all(entry["future"].result(0) == entry["text"] for entry in answered)
        self.asked = [entry for entry in self.asked if not entry["future"].done()]
        for entry in self.asked:
            assert entry["lane"] >= transaction.lane, "a more urgent one still waits"
            if entry["lane"] == transaction.lane and entry["who"] != transaction.who:
                entry["passed_by"].append(transaction.who)

    @invariant()
    def each_device_passes_once_for_each_turn_of_the_one_that_waits(self):
        for entry in self.asked:
            assert all(entry["passed_by"].count(who) <= entry["ahead"] + 1 for who in "xyz"), entry

    def teardown(self):
        while (transaction := self.queue._next()) is not None:
            if transaction.begin():
                transaction.answer(transaction.command)
        assert all(entry["future"].done() for entry in self.asked)


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=60, stateful_step_count=40)
