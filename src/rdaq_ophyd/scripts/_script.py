"""A script from its bytes to its plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bluesky.utils import MsgGenerator

from rdaq_ophyd.rig import Rig

from ._lights import Lights
from ._limits import ScriptLimits
from ._plan import driven, failed
from ._process import Process
from ._source import Source
from ._table import Table
from ._talk import Talk
from ._thrown import failure


class Script:
    """A script that was loaded in its process, with its arguments bound; nothing was sent to any device.

    :ivar plan: for the RunEngine; None where the script was only asked for its options (``--help``).
    """

    def __init__(self, talk: Talk, plan: MsgGenerator[str | None] | None) -> None:
        self._talk, self.plan = talk, plan

    @classmethod
    async def load(cls, source: Source, rig: Rig, limits: ScriptLimits, output: Callable[[str], object]) -> Script:
        """Load it; on the RunEngine's loop, which does not wait meanwhile. A cancelled caller ends the process.

        :param output: called with each line that it prints, in a thread of its own.
        :raises LimitError: it is no script, or an argument that its plan does not take.
        :raises ScriptFailed: its process did not get so far.
        :raises RdaqError: what else is wrong with it.
        """
        source.check(limits)
        table = await asyncio.to_thread(Table, rig)
        described = await asyncio.to_thread(table.described)
        process = await _begun(source, limits, output)
        talk = Talk(process, table, limits, source.name)
        try:
            await talk.open()
            about = {"name": source.name, "arguments": list(source.arguments), **described}
            talk.give(limits.loading, begin=about)
            await talk.until_step(talk.steps)
            step = talk.step
            if step is None:
                await talk.until_over()
                raise failed(talk, "while it was loaded")
            if (error := step.get("error")) is not None:
                talk.close()
                await talk.until_over()
                raise failure(source.name, error)
        except BaseException:
            process.end()
            talk.close()
            raise
        if not step.get("loaded"):
            await talk.until_over()
            return cls(talk, None)
        talk.expect_begin()
        return cls(talk, driven(talk, Lights(rig.devices.values())))

    def discard(self) -> None:
        """End its process, from any thread; a plan that runs then fails."""
        self._talk.process.end()


async def _begun(source: Source, limits: ScriptLimits, output: Callable[[str], object]) -> Process:
    """Starting a process takes some milliseconds, in which the loop goes on."""
    starting = asyncio.ensure_future(asyncio.to_thread(Process, source, limits, output))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_end)
        raise


def _end(starting: asyncio.Future[Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().end()
        starting.result().socket.close()
