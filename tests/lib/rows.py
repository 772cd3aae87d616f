"""What the tests of all detectors of rows use; and what a pause must leave of them, as a suite to subclass."""

import asyncio
from contextlib import nullcontext

import pytest
from bluesky.utils import NoReplayAllowed
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.errors import AcquisitionInterrupted, RdaqError
from rdaq_ophyd.stop import pause


async def collect(device):
    return [document async for document in device.collect_asset_docs()]


async def collect_saved(device):
    """Collect as the engine does, which completes each document that it emits."""
    docs = await collect(device)
    for name, document in docs:
        if name == "stream_datum":
            document["descriptor"] = "emitted"
        else:
            document["run_start"] = "run"
    return docs


def path_of(docs):
    return next(d["uri"] for name, d in docs if name == "stream_resource").removeprefix("file://localhost")


async def wait_rows(device, number):
    """Wait until so many frames or blocks can be read, at most 20 s."""
    async with asyncio.timeout(20):
        async for _ in device._pipeline.progress(number, 10):
            pass


class RowPauses:
    """No row too many, none too few. Subclass it with a fixture ``device``."""

    item: str
    livetime = 0.0
    """Of the flights, s; 0 for what is set."""

    def check(self, docs, number, status="complete"):
        """So many rows in a file that ends so; a number of each, by which those of the first acquisition have 0."""
        raise NotImplementedError

    def check_parts(self, found, kept):
        """The first ``kept`` rows are of the first acquisition, the others of the second."""

    def fly(self, number):
        return TriggerInfo(number_of_events=number, livetime=self.livetime)

    async def test_a_pause_without_anything_open_does_nothing(self, device):
        await device.pause()
        await device.resume()
        await device.stage()
        await device.trigger()
        await collect_saved(device)
        await device.pause()
        await device.resume()
        assert await device._pipeline.written.get_value() == 1
        await device.unstage()

    async def test_a_point_interrupted_between_read_and_save_is_taken_again(self, device):
        await device.stage()
        await device.trigger()
        first = await collect(device)  # read, but the engine threw the documents away
        await device.pause()
        assert await device._pipeline.written.get_value() == 0
        await device.resume()
        await device.trigger()
        docs = await collect_saved(device)
        assert [name for name, _ in docs] == [name for name, _ in first]
        assert docs[-1][1]["indices"] == {"start": 0, "stop": 1}
        await device.unstage()
        assert self.check(docs, 1) == [1]

    async def test_a_flight_collected_in_part_goes_on_and_refuses_the_replay(self, device, caplog):
        await device.stage()
        await device.prepare(self.fly(40))
        await device.kickoff()
        await wait_rows(device, 5)
        docs = await collect_saved(device)
        kept = docs[-1][1]["indices"]["stop"]
        await wait_rows(device, kept + 2)
        with pytest.raises(NoReplayAllowed):
            await device.pause()
        assert await device._pipeline.written.get_value() == kept
        assert f"paused with {kept} of 40 {self.item}s collected" in caplog.text
        await device.resume()
        docs += await collect_saved(device)
        await device.complete()
        assert docs[-1][1]["indices"] == {"start": kept, "stop": 40}
        await device.unstage()
        self.check_parts(self.check(docs, 40), kept)

    @pytest.mark.parametrize("replayed_from", ["prepare", "complete"])
    async def test_a_flight_of_which_nothing_was_collected_starts_anew(self, device, replayed_from):
        await device.stage()
        await device.prepare(self.fly(30))
        await device.kickoff()
        old = device.complete()
        await wait_rows(device, 4)
        await device.pause()
        assert 4 <= await device._pipeline.written.get_value() < 30, "kept until it is flown again"
        await device.resume()
        assert not device._pipeline.acquiring
        if replayed_from == "prepare":
            await device.prepare(self.fly(30))
            await device.kickoff()
        await device.complete()
        await old
        assert await device._pipeline.discarded.get_value() >= 4 * device._pipeline.sink.weight
        docs = await collect_saved(device)
        assert docs[-1][1]["indices"] == {"start": 0, "stop": 30}
        await device.unstage()
        self.check_parts(self.check(docs, 30), 0)

    async def test_a_collect_that_a_second_pause_cuts_off_is_replayed(self, device):
        await device.stage()
        await device.prepare(self.fly(40))
        await device.kickoff()
        await wait_rows(device, 5)
        docs = await collect_saved(device)
        kept = docs[-1][1]["indices"]["stop"]
        with pytest.raises(NoReplayAllowed):
            await device.pause()
        for _ in range(2):
            await device.resume()
            waiting = asyncio.create_task(collect(device))
            await wait_rows(device, kept + 1)
            waiting.cancel()  # as the engine does
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await device.pause()
        await device.resume()
        docs += await collect_saved(device)
        assert docs[-1][1]["indices"] == {"start": kept, "stop": 40}
        await device.unstage()
        self.check(docs, 40)

    @pytest.mark.parametrize("collected", [False, True])
    async def test_a_pause_that_is_not_resumed_is_the_end_whoever_collects(self, device, collected):
        await device.stage()
        await device.prepare(self.fly(400))
        await device.kickoff()
        await wait_rows(device, 5)
        docs = await collect_saved(device) if collected else []
        with pytest.raises(NoReplayAllowed) if collected else nullcontext():
            await device.pause()
        taken = await device.get_index()
        docs += await collect_saved(device)
        assert not device._pipeline.acquiring
        with pytest.raises(AcquisitionInterrupted, match="paused, and not resumed"):
            await device.complete()
        assert not device._pipeline.acquiring
        assert docs[-1][1]["indices"]["stop"] == taken == await device.get_index()
        assert 5 <= taken < 400
        await device.unstage()
        self.check(docs, taken, "aborted")

    @pytest.mark.parametrize("end", ["stop", "cut off"])
    async def test_a_collect_after_the_end_of_a_resumed_flight_takes_nothing_more(self, device, end):
        await device.stage()
        await device.prepare(self.fly(400))
        await device.kickoff()
        await wait_rows(device, 5)
        docs = await collect_saved(device)
        with pytest.raises(NoReplayAllowed):
            await device.pause()
        await device.resume()
        waiting = asyncio.create_task(collect(device))
        await wait_rows(device, docs[-1][1]["indices"]["stop"] + 2)
        if end == "stop":
            await device.stop()
            with pytest.raises(AcquisitionInterrupted):
                await waiting
        else:
            waiting.cancel()
            await asyncio.wait({waiting})
        docs += await asyncio.wait_for(collect_saved(device), 1)
        taken = docs[-1][1]["indices"]["stop"]
        assert 7 <= taken < 400
        await device.unstage()

    async def test_a_flight_that_was_complete_at_the_pause_is_not_taken_again(self, device):
        await device.stage()
        await device.prepare(self.fly(5))
        await device.kickoff()
        await device.complete()
        await device.pause()
        await device.resume()
        docs = await collect_saved(device)
        assert docs[-1][1]["indices"] == {"start": 0, "stop": 5}
        assert await device._pipeline.discarded.get_value() == 0
        await device.unstage()
        self.check_parts(self.check(docs, 5), 5)

    async def test_a_complete_flight_is_taken_again_only_when_it_is_kicked_off_again(self, device, caplog):
        await device.stage()
        await device.prepare(self.fly(5))
        await device.kickoff()
        await device.complete()
        await device.pause()
        await device.resume()
        await device.prepare(self.fly(5))
        assert f"5 {self.item}s from before the pause are discarded" in caplog.text
        await device.kickoff()
        await device.complete()
        docs = await collect_saved(device)
        assert docs[-1][1]["indices"] == {"start": 0, "stop": 5}
        await device.unstage()
        self.check_parts(self.check(docs, 5), 0)

    async def test_a_flight_of_one_piece_ends_with_the_pause_and_keeps_all(self, device):
        await device.stage()
        await device.prepare(self.fly(40))
        device.end_at_pause()
        await device.kickoff()
        await wait_rows(device, 5)
        docs = await collect_saved(device)
        kept = docs[-1][1]["indices"]["stop"]
        await wait_rows(device, kept + 2)
        await device.pause()
        taken = await device._pipeline.written.get_value()
        assert taken >= kept + 2
        await device.resume()
        assert not device._pipeline.acquiring
        await device.prepare(self.fly(40 - taken))
        device.end_at_pause()
        await device.kickoff()
        await device.complete()
        docs += await collect_saved(device)
        assert docs[-1][1]["indices"] == {"start": kept, "stop": 40}
        await device.unstage()
        self.check_parts(self.check(docs, 40), taken)

    async def test_what_would_lose_a_flight_is_refused(self, device):
        await device.stage()
        await device.prepare(self.fly(40))
        await device.kickoff()
        await wait_rows(device, 4)
        with pytest.raises(RdaqError, match="kickoff in a flight → complete it"):
            await device.kickoff()
        await device.pause()
        pause.set()
        try:
            with pytest.raises(RdaqError, match=r"a plan is paused in its flight → RE.resume\(\)"):
                await device.prepare(self.fly(10))
        finally:
            pause.clear()
        await device.resume()
        await device.complete()
        docs = await collect_saved(device)
        await device.unstage()
        self.check(docs, 40)

    @pytest.mark.parametrize("handed", [False, True], ids=["never read", "read, but dropped"])
    async def test_a_row_that_no_document_tells_of_is_cut_when_the_file_is_closed(self, device, handed):
        await device.stage()
        await device.trigger()
        docs = await collect_saved(device)
        await device.trigger()
        if handed:
            await collect(device)
        weight = device._pipeline.sink.weight
        await device.unstage()
        self.check(docs, 1)
        assert await device._pipeline.written.get_value() == 1
        assert await device._pipeline.discarded.get_value() == weight

    async def test_a_row_that_the_engine_dropped_is_taken_anew(self, device):
        await device.stage()
        await device.trigger()
        docs = await collect_saved(device)
        await device.trigger()
        await collect(device)  # read, and dropped
        await device.trigger()
        docs += await collect_saved(device)
        assert docs[-1][1]["indices"] == {"start": 1, "stop": 2}
        await device.unstage()
        self.check(docs, 2)

    async def test_a_file_that_no_document_tells_of_keeps_what_it_has(self, device):
        await device.stage()
        await device.trigger()
        path = device._pipeline.sink.path
        await device.unstage()
        self.check([("stream_resource", {"uri": str(path)})], 1)
        assert await device._pipeline.discarded.get_value() == 0
