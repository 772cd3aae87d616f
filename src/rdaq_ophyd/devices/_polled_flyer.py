"""The fly moves of a device with one polled axis, as Bluesky's plans ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from event_model import DataKey, PartialEventPage
from ophyd_async.core import (
    AsyncStatus,
    FlyMotorInfo,
    StandardFlyable,
    WatchableAsyncStatus,
    WatcherUpdate,
    observe_value,
)

from rdaq_ophyd.devices._polled_fly import Flight, PolledFlyLogic
from rdaq_ophyd.devices._positions import Positions, event_page


class PolledFlyer(StandardFlyable[FlyMotorInfo, Flight]):
    """Prepared with a ``FlyMotorInfo`` it flies at constant velocity; positions on the way can be collected."""

    @property
    def flyable_logic(self) -> PolledFlyLogic:
        """How it flies; to be overridden."""
        raise NotImplementedError

    def prepare(self, value: FlyMotorInfo) -> AsyncStatus[None]:
        """Go to where the run-up of a fly move begins, all of its limits checked; a stop from now on ends that."""
        with self.flyable_logic.interrupts.noted():
            return super().prepare(value)

    def kickoff(self) -> AsyncStatus[None]:
        """Begin the prepared fly move; done when the velocity is constant. A stop from now on ends it."""
        with self.flyable_logic.interrupts.noted():
            return super().kickoff()

    def complete(self) -> WatchableAsyncStatus[float]:
        """Done when the axis stands still at the end of the run-down; cancelled, it stops the axis.

        :raises RuntimeError: it was not kicked off.
        """
        flight: Flight | None = self._fly_ctx
        if flight is None or (flying := flight.task) is None:
            raise RuntimeError(f"{self.name}: kickoff() must be called before complete()")
        status = WatchableAsyncStatus(self._progress(flight))
        status.task.add_done_callback(lambda completing: completing.cancelled() and flying.cancel())
        return status

    async def _progress(self, flight: Flight) -> AsyncIterator[WatcherUpdate[float]]:
        logic = self.flyable_logic
        units, precision = await logic.get_units_precision()
        async with AsyncStatus(logic.on_complete(flight)) as completing:
            async for position in observe_value(logic.readback, done_status=completing):
                yield WatcherUpdate(
                    current=position,
                    initial=flight.run_up,
                    target=flight.rest,
                    name=self.name,
                    unit=units,
                    precision=precision,
                )

    @property
    def positions(self) -> Positions:
        """Where the axis was during its last fly move, or is on the way of this one, with the host's time."""
        return self.flyable_logic.track.positions()

    async def describe_collect(self) -> dict[str, DataKey]:
        """Position, time (s since 1970) and its uncertainty (s): one stream, which the plan declares by a name."""
        name = self.flyable_logic.readback.name
        keys: dict[str, DataKey] = await self.flyable_logic.readback.describe()
        for extra in ("time", "time_uncertainty"):
            source = f"{keys[name]['source']}#{extra}"
            keys[f"{name}-{extra}"] = DataKey(source=source, dtype="number", shape=[], units="s", dtype_numpy="<f8")
        return keys

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """Positions of the last fly move, or of the one under way, that were not collected yet, as one page."""
        if samples := self.flyable_logic.track.unread():
            yield event_page(self.flyable_logic.readback.name, samples)
