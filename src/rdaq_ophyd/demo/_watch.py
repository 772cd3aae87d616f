"""Act on a running plan from outside, as a person at another terminal does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["EventCounter", "acting_when"]

#: Bound on the wait for the condition, s; a demo never waits longer.
PATIENCE = 60.0


class EventCounter:
    """A document callback that counts the events of the stream ``primary``."""

    def __init__(self) -> None:
        self.count = 0
        self._primary: set[str] = set()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document."""
        if name == "descriptor" and doc["name"] == "primary":
            self._primary.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._primary:
            self.count += 1


@contextmanager
def acting_when(condition: Callable[[], bool], action: Callable[[], object]) -> Iterator[None]:
    """While the block runs, call ``action`` once from another thread as soon as ``condition()`` is true."""
    over = threading.Event()
    failure: list[Exception] = []

    def watch() -> None:
        try:
            for _ in range(int(PATIENCE / 0.005)):
                if condition():
                    action()
                    return
                if over.wait(0.005):
                    return
        except Exception as error:  # noqa: BLE001 handed to the block's thread below
            failure.append(error)

    thread = threading.Thread(target=watch, name="demo-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
    if failure:
        raise failure[0]
