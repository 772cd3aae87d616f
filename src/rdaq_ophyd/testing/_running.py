"""Under a RunEngine: documents, and plans that are paused, resumed and aborted."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import Msg
from bluesky.protocols import Readable
from bluesky.utils import RunEngineInterrupted
from event_model import DocumentNames, schema_validators

from ._bench import Bench
from ._benched import Benched
from ._hints import Motion
from ._loops import wait_until
from ._stopping import arrived, stopped_short

Plan = Generator[Msg, Any, Any]


class RunTests(Benched):
    """The engine is a session's own, which stops devices before a plan's clean-up."""

    def test_documents_are_valid(self, shared_bench: Bench) -> None:
        """A run of two points: every document fits its schema, every event the descriptor."""
        bench = shared_bench
        _require_readable(bench)
        documents = _documents(bench, bp.count([bench.device], 2))
        for name, document in documents:
            schema_validators[DocumentNames[name]].validate(document)
        descriptors = {doc["uid"]: doc for name, doc in documents if name == "descriptor"}
        events = [doc for name, doc in documents if name == "event"]
        assert len(events) == 2, f"two points were asked for, {len(events)} events came"
        for event in events:
            keys = descriptors[event["descriptor"]]["data_keys"]
            assert set(event["data"]) == set(keys) == set(event["timestamps"]), "an event does not fit its descriptor"
        hinted = [
            field for doc in descriptors.values() for hint in doc["hints"].values() for field in hint.get("fields", [])
        ]
        assert all(field in events[0]["data"] for field in hinted), f"hinted, but not in the events: {hinted}"

    def test_a_pause_between_points(self, shared_bench: Bench) -> None:
        """Resumed, the plan takes all of its points."""
        bench = shared_bench
        _require_readable(bench)
        seen: list[str] = []

        def plan() -> Plan:
            yield from bps.open_run()
            for number in range(3):
                yield from bps.checkpoint()
                if number == 1 and "paused" not in seen:
                    seen.append("paused")
                    yield from bps.pause()
                yield from bps.trigger_and_read([bench.device])
            yield from bps.close_run()

        documents: list[tuple[str, Any]] = []
        with pytest.raises(RunEngineInterrupted):
            bench.engine(plan(), lambda name, doc: documents.append((name, doc)))
        assert bench.engine.state == "paused"
        bench.engine.resume()
        events = [doc for name, doc in documents if name == "event" and "interruption" not in doc["data"]]
        assert [event["seq_num"] for event in events] == [1, 2, 3], "points were lost or doubled by a pause"

    def test_a_pause_in_mid_move(self, bench: Bench, kind_of_motion: Motion) -> None:
        """What moves stands still while the plan is paused, and arrives when it is resumed."""
        motion = kind_of_motion
        part = bench.part(motion.part)

        def plan() -> Plan:
            yield from bps.checkpoint()
            yield from bps.mv(part, motion.far)

        _interrupted(bench, motion, plan(), bench.engine.request_pause)
        assert bench.engine.state == "paused", "a pause in mid-move ended the plan: does the move fail as stopped?"
        bench.run(stopped_short(bench, motion, "while the plan is paused"))
        bench.engine.resume()
        bench.run(arrived(part, motion, motion.far))

    def test_an_abort_in_mid_move(self, bench: Bench, kind_of_motion: Motion) -> None:
        """What moves comes to rest, the clean-up runs, and the next plan works."""
        motion = kind_of_motion
        part = bench.part(motion.part)
        cleaned: list[bool] = []

        def plan() -> Plan:
            try:
                yield from bps.mv(part, motion.far)
            finally:
                cleaned.append(True)
                yield from bps.null()

        _interrupted(bench, motion, plan(), lambda: bench.engine.abort("enough"))
        assert bench.engine.state == "idle"
        assert cleaned, "the plan's own clean-up did not run"
        bench.run(stopped_short(bench, motion, "after an abort"))
        bench.engine(bps.mv(part, motion.near))


def _require_readable(bench: Bench) -> None:
    if not isinstance(bench.device, Readable):
        pytest.skip("it is not readable")


def _documents(bench: Bench, plan: Plan) -> list[tuple[str, Any]]:
    documents: list[tuple[str, Any]] = []
    bench.engine(plan, lambda name, doc: documents.append((name, doc)))
    return documents


def _interrupted(bench: Bench, motion: Motion, plan: Plan, interrupt: Any) -> None:
    """Run a plan; interrupt it when the instrument moves to ``far``."""
    failures: list[BaseException] = []

    def when_it_moves() -> None:
        try:
            wait_until(lambda: bench.active(motion), f"{motion.title}: the simulated instrument never moves")
            interrupt()
        except BaseException as error:  # noqa: BLE001 (raised in the test's own thread)
            failures.append(error)

    thread = threading.Thread(target=when_it_moves, name="asyncio_interrupt", daemon=True)
    thread.start()
    with pytest.raises(RunEngineInterrupted):
        bench.engine(plan)
    thread.join()
    if failures:
        raise failures[0]
