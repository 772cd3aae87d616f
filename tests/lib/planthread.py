"""A plan in a thread of its own, so that a test can do what people and instruments do meanwhile."""

import threading

from bluesky import RunEngineInterrupted

BOUND = 10


class PlanThread(threading.Thread):
    """Runs a plan; ``end`` waits for it."""

    def __init__(self, RE, plan):
        super().__init__()
        self.RE, self.plan, self.result, self.error = RE, plan, None, None
        self.start()

    def run(self):
        try:
            self.result = self.RE(self.plan)
        except RunEngineInterrupted as error:
            self.error = error

    def end(self):
        """Its result; None when it was interrupted, ``error`` then says how."""
        self.join(BOUND)
        assert not self.is_alive()
        return self.result


def wait(condition):
    """Wait until ``condition()``, in a thread, bounded."""
    for _ in range(BOUND * 1000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("waited in vain")
