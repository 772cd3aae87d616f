"""A RunEngine that ends with its test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.run_engine import call_in_bluesky_event_loop

from rdaq_ophyd.startup._run_engine import stop_loop


@pytest.fixture
def engine() -> Iterator[RunEngine]:
    """A bare RunEngine on its own loop."""
    made = RunEngine({}, call_returns_result=True, context_managers=[])
    yield made
    if made.state == "paused":
        made.abort()
    stop_loop(made)


@pytest.fixture
def in_loop(engine: RunEngine) -> Callable[[Any], Any]:
    """Run a coroutine in the engine's loop and wait for it."""
    return lambda coro: call_in_bluesky_event_loop(coro, timeout=20)
