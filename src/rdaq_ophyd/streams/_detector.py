"""A detector each of whose events is a row of a file: step scans, fly scans, pause and resume with none too many."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from bluesky.protocols import StreamAsset
from bluesky.utils import NoReplayAllowed
from numpy.typing import NDArray
from ophyd_async.core import (
    AsyncStatus,
    DeviceConnector,
    StandardDetector,
    TriggerInfo,
    WatchableAsyncStatus,
    WatcherUpdate,
)

from rdaq_ophyd.errors import AcquisitionInterrupted
from rdaq_ophyd.stop import pause

from ._documents import StreamDocuments
from ._flight import Flight
from ._logics import StreamAcquireLogic, StreamDataLogic
from ._pipeline import StreamPipeline
from ._safety import StreamSafety
from ._totals import Totals

logger = logging.getLogger(__name__)


class StreamDetector[P: StreamPipeline[Any, Any, Any], D: StreamDocuments](StandardDetector):
    """The bluesky verbs of cameras and analog inputs.

    What they take, a frame or a block, is an event and a row of the file of this stage. Errors that name the device
    are :class:`~rdaq_ophyd.errors.CameraError` or :class:`~rdaq_ophyd.errors.CardError`.

    :param data: the pipeline's documents come from here.
    :param bound: seconds in which it must have stopped in a stop of everything.
    :param unstopped: what that says when it has not.
    """

    def __init__(
        self,
        pipeline: P,
        acquire: StreamAcquireLogic,
        data: StreamDataLogic[D],
        *,
        bound: float,
        unstopped: str,
        name: str,
        connector: DeviceConnector,
    ) -> None:
        self._pipeline, self._acquire, self._data = pipeline, acquire, data
        self._prepared: TriggerInfo | None = None
        self._flight: Flight | None = None
        self._armed: range | None = None  # rows of an acquisition that began with prepare, where one does
        self._awaited, self._resumes = False, True
        self._pauses = 0
        self._preparing = asyncio.Lock()
        self._safety = StreamSafety(pipeline, lambda: self.name, bound, unstopped)
        self._closer = weakref.finalize(self, pipeline.driver.close)
        super().__init__(name=name, connector=connector)

    @property
    def totals(self) -> Totals:
        """What it took since it was made, over all its files."""
        return self._pipeline.totals

    # -- what is the instrument's own -----------------------------------------------------------------------

    async def _prepare(self, value: TriggerInfo) -> None:
        """Get ready; the lock ``_preparing`` is held."""
        raise NotImplementedError

    async def _end(self) -> None:
        """End an endless acquisition as it was meant to end."""
        raise NotImplementedError

    async def _rest(self) -> None:
        """Before it starts: wait until what it took before is in the file."""

    async def _settle_rows(self) -> None:
        """Before rows are told of: wait for those on their way after a stop."""

    async def _timeout(self, prepared: TriggerInfo) -> float:
        """Longest time between two rows, s."""
        return prepared.exposure_timeout

    # -- the bluesky verbs ----------------------------------------------------------------------------------

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Stop acquiring and close the last file; the next one is made by ``prepare`` or the first trigger."""
        self._pauses += 1
        async with self._preparing:
            self._prepared = self._flight = self._armed = None
            await super().stage()

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Stop acquiring, also within an exposure or a block, and close the file."""
        self._pauses += 1  # a trigger that has not begun its exposure will not
        async with self._preparing:
            self._prepared = self._flight = self._armed = None
            await self._data.stop()

    @WatchableAsyncStatus.wrap
    async def trigger(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Take one frame or block; done when it is in the file, readable by others. One nobody read is replaced."""
        pauses = self._pauses
        async with self._preparing:  # a replayed trigger may find the first one still at it
            if self._prepared is None:
                await self._prepare(TriggerInfo())
        prepared, words = self._prepared, self._pipeline.words
        if prepared is None or prepared.number_of_events != 1:
            raise words.error(
                f"{self.name} is prepared for {prepared and prepared.number_of_events} {words.items}, "
                "a trigger takes one",
                hint="use kickoff and complete for more, or prepare with number_of_events=1",
            )
        documents = self._documents()
        documents.use(streaming=False)
        self._flight, self._awaited = None, True
        armed, self._armed = self._armed, None
        start = armed.start if armed is not None else await self._start_step(documents, pauses)
        if start is None:
            return
        async for update in self._updates(start, start + 1, await self._timeout(prepared)):
            yield update
        await self._acquire.wait_for_idle()
        self._awaited = self._pipeline.rows == start

    async def _start_step(self, documents: D, pauses: int) -> int | None:
        """Begin to take one, and say which row it will be; None if a pause came before: the replayed trigger will."""
        await self._rest()
        if self._pipeline.rows > (told := documents.told):
            await self._pipeline.rewind(told)
        start = self._pipeline.rows
        if pauses != self._pauses:
            return None
        await self._acquire.start_acquiring(1)
        return start

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """Start taking what it is prepared for.

        :raises CameraError or CardError: not prepared, for fewer than ``events_to_kickoff`` says, or it flies already.
        """
        documents, prepared, words = self._documents(), self._prepared, self._pipeline.words
        assert prepared is not None
        self._refuse_in_flight()
        count = await self.events_to_kickoff.get_value()
        if count > prepared.number_of_events and (prepared.number_of_events or self._armed is not None):
            raise words.error(
                f"{self.name}: {count} {words.items} asked for, prepared for {prepared.number_of_events}",
                hint="prepare with number_of_events as large as events_to_kickoff",
            )
        documents.use(streaming=True)
        timeout = await self._timeout(prepared)
        await self._fly_anew()
        armed, self._armed = self._armed, None
        if armed is None:
            await self._rest()
            self._flight = Flight(self._pipeline.rows, count, timeout, self._resumes)
            await self._acquire.start_acquiring(count)
        else:
            self._flight = Flight(armed.start, count, timeout, self._resumes)
            self._armed = armed[count:] or None

    def end_at_pause(self) -> None:
        """A pause will be the end of the flight that is prepared, as is right for one along a moving axis.

        All that it took stays, to be collected, and the plan prepares what is left. The next ``prepare`` forgets it.
        """
        self._resumes = False

    def _refuse_in_flight(self) -> None:
        flight, words = self._flight, self._pipeline.words
        if flight is not None and self._pipeline.acquiring and not flight.is_over(self._pipeline.rows):
            raise words.error(f"{self.name}: kickoff in a flight", hint="complete it, or stop it, before the next")

    @WatchableAsyncStatus.wrap
    async def complete(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Done when all of the kick-off is in the file; for an endless one, stop it.

        :raises AcquisitionInterrupted: a pause stopped it, and was not resumed.
        """
        flight, words = self._flight, self._pipeline.words
        if flight is None:
            raise words.error(f"{self.name}: complete without kickoff", hint=f"kick the {words.device} off first")
        if flight.paused:
            raise AcquisitionInterrupted(f"{self.name}: paused, and not resumed", hint="RE.resume() or RE.abort()")
        await self._continue(flight)
        if flight.count == 0:
            flight.ended = True
            await self._end()
            return
        async for update in self._updates(flight.start, flight.end, flight.timeout):
            yield update
        if self._armed is None:  # no further flight of the same arming
            await self._acquire.wait_for_idle()

    async def _updates(self, start: int, end: int, timeout: float) -> AsyncIterator[WatcherUpdate[int]]:
        began = time.monotonic()
        async for rows in self._pipeline.progress(end, timeout):
            elapsed = time.monotonic() - began
            yield WatcherUpdate(
                name=self.name, current=rows, initial=start, target=end, unit="", precision=0, time_elapsed=elapsed
            )

    @property
    def exposure_times(self) -> NDArray[np.float64]:
        """The middle of each exposure or block in the open file, seconds since 1970, shape (n,).

        Of an exposure: half of it before the frame reached the host; readout and transfer, which a camera does not
        tell, count as part of it. Empty when no file is open.
        """
        sink = self._pipeline.sink
        return np.array(sink.times[: self._pipeline.rows] if sink else [], dtype=np.float64)

    # -- documents ------------------------------------------------------------------------------------------

    @property
    def told_in_run(self) -> str:
        """Uid of the run that tells of the open file; empty when none does."""
        documents = self._data.documents
        return documents.run if documents is not None else ""

    def _documents(self) -> D:
        documents = self._data.documents
        if documents is None or self._prepared is None:
            raise self._pipeline.words.error(
                f"{self.name} is not prepared", hint="stage it, then prepare it with a TriggerInfo"
            )
        return documents

    async def get_index(self) -> int:
        """Frames or blocks that may be collected."""
        await self._finish_interrupted()
        return self._pipeline.rows

    async def collect_asset_docs(self, index: int | None = None) -> AsyncIterator[StreamAsset]:
        """Stream documents for what is in the file, up to ``index``."""
        documents = self._documents()
        await self._finish_interrupted()
        await self._settle_rows()
        rows = self._pipeline.rows if index is None else min(index, self._pipeline.rows)
        async for document in documents.make_stream_docs(rows, 1):
            yield document

    # -- pause and resume -----------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Stop acquiring. Of a step, what no document tells of is discarded and counted, and taken anew.

        A flight of which nothing was collected keeps what it took until it is flown again: the replayed plan kicks it
        off or completes it anew, and only that discards. Nothing of one that took all of its rows is taken again; an
        abort instead of the resume collects what there is. One that was collected in part goes on where it stopped, so
        that n events stay n rows; then the engine must not replay the plan. A collect that waited for the rest is
        replayed, and nothing before it: the pause before has seen to that. See ``end_at_pause`` for one that ends here.

        :raises NoReplayAllowed: to the RunEngine, where a flight was collected in part.
        """
        self._pauses += 1
        self._pipeline.excuse_stop()
        documents = self._data.documents
        if documents is None:
            return
        kept = documents.settle()
        flight = self._flight if self._flight is not None and not self._flight.is_over(kept) else None
        if flight is None and not self._pipeline.acquiring and self._pipeline.rows == kept:
            return
        self._armed = None
        if flight is None:
            await self._pipeline.rewind(kept)
        elif not flight.resumes:
            await self._stand_still()
            self._flight = None
        else:
            await self._pause_flight(flight, kept)

    async def _pause_flight(self, flight: Flight, kept: int) -> None:
        flight.paused = flight.interrupted = flight.waiting = True
        cut_off, flight.collecting = flight.collecting, False
        if kept <= flight.start:
            await self._stand_still()
            return
        if not flight.is_over(self._pipeline.rows):
            await self._pipeline.rewind(kept)
            logger.warning(
                "%s: paused with %d of %d %s collected; on resume it takes the rest where it is, without "
                "repeating movements",
                self.name,
                kept - flight.start,
                flight.count,
                self._pipeline.words.items,
            )
        if not cut_off:
            raise NoReplayAllowed

    async def _stand_still(self) -> None:
        """Stop, and keep what was taken."""
        await self._pipeline.halt()
        await self._settle_rows()

    async def resume(self) -> None:
        """Go on with a flight that was collected in part; everything else waits for the replayed plan."""
        flight, documents = self._flight, self._data.documents
        if flight is None or documents is None:
            return
        flight.paused = False
        if documents.emitted > flight.start:
            await self._continue(flight)

    async def _continue(self, flight: Flight) -> None:
        if flight.interrupted and not flight.is_over(self._pipeline.rows):
            await self._fly_anew()
            await self._acquire.start_acquiring(flight.end - self._pipeline.rows if flight.count else 0)
        flight.interrupted = False

    async def _fly_anew(self) -> None:
        """Discard what a paused flight took and nobody collected: it is taken again."""
        if self._flight is None or not self._flight.interrupted:
            return
        kept, words = self._documents().emitted, self._pipeline.words
        if (untold := self._pipeline.rows - kept) > 0:
            logger.warning(
                "%s: %d %s from before the pause are discarded and taken again", self.name, untold, words.items
            )
            await self._pipeline.rewind(kept)

    async def _leave_flight(self) -> None:
        """Before anything is prepared: the last flight is over, and one that a pause stopped is flown again.

        :raises CameraError or CardError: a plan is paused in it, and could not go on.
        """
        if self._flight is not None and self._flight.paused and pause.is_set:
            words = self._pipeline.words
            raise words.error(f"{self.name}: a plan is paused in its flight", hint="RE.resume() or RE.abort() first")
        await self._fly_anew()
        self._flight, self._resumes = None, True

    async def _finish_interrupted(self) -> None:
        """A pause loses the wait for a flight; whoever collects next waits for it instead.

        Not who collects because the plan is taken down: after a pause that was not resumed, after a stop, or after
        such a wait was cut off. Then nothing more is taken, and what there is may be collected.
        """
        flight = self._flight
        if flight is None or not flight.waiting or not flight.count:
            return
        if flight.paused or flight.collecting or self._pipeline.interrupted:
            return
        flight.collecting = True
        await self._continue(flight)
        async for _ in self._pipeline.progress(flight.end, flight.timeout):
            pass
        flight.waiting = flight.collecting = False

    is_stop_target = True
    """A stop of everything stops it by itself, from any thread; see ``StreamSafety``."""

    async def stop(self, success: bool = True) -> None:  # noqa: ARG002  bluesky's signature; a row has no halves
        """Stop now; what was taken stays in the file. Whoever waits for more gets an error."""
        self._pipeline.halt_soon()
        await self._pipeline.halt()

    def halt(self) -> None:
        """The same from any thread, without waiting."""
        self._pipeline.halt_soon()
