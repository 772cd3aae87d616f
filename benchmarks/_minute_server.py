"""A camera, a card and their page in a process of its own: ``python -m benchmarks._minute_server DIRECTORY``."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import TriggerInfo

from benchmarks._child import Child, obey
from benchmarks._profile import UNDELIVERED
from rdaq_ophyd.server import serve
from rdaq_ophyd.startup import Session, start

SIZE, RATE = 128, 200.0
"""Of the frames, in pixels a side, and a second: as many as a viewer cannot show, and files that are small."""
CHANNELS, SAMPLES = 8, 10_000.0
EXPOSURE = 1e-3
FLUSH = 0.5
"""Seconds from collection to collection."""
PROFILE = f"""
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Sine
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig

rig = Rig("minute")

@rig.device
def cam(paths) -> SyntheticCamera:
    return SyntheticCamera(paths, width={SIZE}, height={SIZE})

@rig.device
def adc(paths) -> SimAnalogInput:
    inputs = {{f"ai{{n}}": SimInput(Sine(3.0 + n, 1.0, 2.5 * n)) for n in range({CHANNELS})}}
    return SimAnalogInput(paths, inputs=inputs, rate={SAMPLES})
"""


def minute_server(directory: Path) -> Child:
    """Start one, with everything that a session writes in ``directory``; it says where its page is, and its pid."""
    directory.mkdir(parents=True, exist_ok=True)
    private = {name: str(directory / name.lower()) for name in ("RDAQ_STATE", "RDAQ_RUN", "TILED_PROFILES")}
    return Child("benchmarks._minute_server", str(directory), environment=private)


LONGEST = 30.0
"""Seconds for the page to be heard of."""


class Both:
    """A camera and a card that fly together, in one run."""

    def __init__(self, session: Session) -> None:
        self._session, self._camera, self._card = session, session.rig["cam"], session.rig["adc"]
        self._flight = threading.Thread(target=self._run)
        self._seconds = 0.0
        self._tap: Any = None

    def do(self, what: str, **how: Any) -> Any:
        """Begin, tell how it stands, or end."""
        return getattr(self, f"_{what}")(**how)

    def _begin(self, seconds: float) -> None:
        """Fly so long at most."""
        self._tap = self._listening()
        self._seconds = seconds
        self._flight.start()

    def _listening(self) -> Any:
        """The page's tap: it says that it waits before its question is here."""
        end = time.monotonic() + LONGEST
        while not (taps := tuple(self._card._pipeline.fan._taps)):
            if time.monotonic() > end:
                raise TimeoutError("the page does not listen to the card")
            time.sleep(0.01)
        (tap,) = taps
        return tap

    def _counts(self) -> dict[str, int]:
        """Of the camera's frames, and of the samples of each channel that were told to who listens."""
        written, lost = call_in_bluesky_event_loop(self._frames(), 10)
        return {"written": written, "lost": lost, "sent": self._tap.counts.published}

    async def _frames(self) -> tuple[int, int]:
        return await self._camera.frames_written.get_value(), await self._camera.frames_lost.get_value()

    def _end(self) -> dict[str, int]:
        """End the flight; how it stood then."""
        with redirect_stdout(sys.stderr):  # the engine says what it does; here are answers only
            self._session.RE.stop()
            self._flight.join(60)
        return self._counts()

    def _run(self) -> None:
        try:
            self._session.RE(self._plan())
        except RunEngineInterrupted:
            return

    def _plan(self) -> Iterator[Any]:
        camera, card = self._camera, self._card
        frames = round(self._seconds * RATE)

        @bpp.stage_decorator([camera, card])
        @bpp.run_decorator()
        def fly() -> Iterator[Any]:
            exposures = TriggerInfo(number_of_events=frames, livetime=EXPOSURE, deadtime=1 / RATE - EXPOSURE)
            yield from bps.prepare(camera, exposures, wait=True)
            yield from bps.prepare(card, TriggerInfo(number_of_events=0), wait=True)
            yield from bps.declare_stream(camera, name="frames", collect=True)
            yield from bps.declare_stream(card, name="samples", collect=True)
            yield from bps.kickoff_all(camera, card, wait=True)
            yield from bps.complete(camera, group="flight")
            over = False
            while not over:
                over = yield from bps.wait("flight", timeout=FLUSH, error_on_timeout=False)
                yield from bps.collect(camera, name="frames", return_payload=False)
                yield from bps.collect(card, name="samples", return_payload=False)

        yield from fly()


def main(directory: str) -> None:
    """Serve until standard input ends."""
    profile = Path(directory, "minute.py")
    profile.write_text(PROFILE + UNDELIVERED)
    with start(str(profile), data_dir=Path(directory, "data"), person=False) as session:
        obey({"page": serve(session, page=0).page, "pid": os.getpid()}, Both(session).do)


if __name__ == "__main__":
    main(*sys.argv[1:])
