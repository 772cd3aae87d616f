"""Rigs that are looked at in a browser."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
from benchmarks._browser import Browser, Tab
from bluesky.run_engine import call_in_bluesky_event_loop
from numpy.typing import NDArray
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from PIL import Image

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine

READY = "typeof rdaq !== 'undefined' && rdaq.connection.isOpen && rdaq.stop.isOpen && rdaq.connection.role"
"""The page is loaded and connected, and knows what its person may do."""


@contextmanager
def opened(browser: Browser, address: str, *, beside: bool = False) -> Iterator[Tab]:
    """A page in a tab of its own, which is closed at the end."""
    tab = browser.open(address, beside=beside)
    try:
        yield tab
    finally:
        tab.leave()
        tab.close()


@contextmanager
def looked_at(browser: Browser, address: str, *, beside: bool = False) -> Iterator[Tab]:
    """A rig's page, loaded and connected; nothing may go wrong in it, and nobody but the rig be asked."""
    with opened(browser, address, beside=beside) as tab:
        tab.until(READY)
        yield tab
        assert tab.errors() == []
        assert all(url.split("://")[1].startswith(address.split("://")[1]) for url in tab.requests())


def cut(name: str, *, wait: int | None = None) -> str:
    """JavaScript that closes a connection (``connection``, ``stop``): a promise, kept when the page knows of it.

    :param wait: ms until it tries to come back, instead of the page's own.
    """
    later = "" if wait is None else f"rdaq.{name}.wait = {wait}; "
    listen = f"rdaq.{name}.addEventListener('lost', () => done(), {{once: true}})"
    return f"new Promise((done) => {{ {later}{listen}; rdaq.{name}.socket.close(); }})"


@contextmanager
def camera_rig(folder: Path, width: int, height: int, **options: Any) -> Iterator[Any]:
    """All of a session that a server needs, with a camera and nothing else."""
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    with init_devices():
        paths = StaticPathProvider(UUIDFilenameProvider(), folder)
        cam = SyntheticCamera(paths, width=width, height=height, **options)
    rig = Rig("frames")
    rig.devices["cam"] = cam
    settings = SimpleNamespace(data_dir=folder / "data")
    with ExitStack() as stack:
        parts = {"settings": settings, "frames": folder, "catalog": SimpleNamespace(serving=False)}
        yield SimpleNamespace(RE=engine, rig=rig, plans_by="", at_close=stack.callback, **parts)
    call_in_bluesky_event_loop(cam.close(), 10)
    stop_loop(engine)


def fly(session: Any, frames: int, *, livetime: float = 0.004, deadtime: float = 0.006) -> None:
    """So many frames in one flight."""
    cam = session.rig["cam"]

    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        trigger = TriggerInfo(number_of_events=frames, livetime=livetime, deadtime=deadtime)
        yield from bps.prepare(cam, trigger, wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from bps.collect_while_completing([cam], [cam], flush_period=0.1, stream_name="primary")

    session.RE(plan())


def kept(session: Any) -> NDArray[Any]:
    """The frames of the newest file, shape (n, height, width)."""
    newest = max(session.frames.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns)
    with h5py.File(newest, "r", libver="latest", swmr=True) as file:
        found: NDArray[Any] = file["/entry/data/data"][()]
        return found


def settled(tab: Tab, session: Any) -> dict[str, Any]:
    """After a flight: wait until the page has shown all that it was sent; what it knows of the last of them.

    That may be an earlier one than the camera's last: while a frame is on its way, no other is taken.
    """
    fan = session.rig["cam"]._pipeline.fan

    def all_there(counts: dict[str, Any] | None) -> bool:
        taken = {tap.counts.taken for tap in fan._taps if not tap.counts.pending} - {0}
        return counts is not None and counts["drawn"] + counts["replaced"] in taken

    tab.until("rdaq.image.frame?.counts && {...rdaq.image.frame.counts}", all_there)
    found = json.loads(tab.run("JSON.stringify(rdaq.image.frame)"))
    number = str(found["header"]["sequence"])
    tab.until("document.getElementById('frame-number').textContent", lambda text: text == number)
    return dict(found)


def flown(session: Any, frames: int, *tabs: Tab) -> list[NDArray[Any]]:
    """Fly until each page shows a frame that is in the file: the camera may take some beyond those; these frames."""
    for _ in range(10):
        fly(session, frames)
        numbers = [settled(tab, session)["header"]["sequence"] for tab in tabs]
        file = kept(session)
        if max(numbers) < len(file):
            return [file[number] for number in numbers]
    raise AssertionError(f"of {len(file)} frames {numbers} are shown")


def made(tab: Tab, kind: str) -> bytes:
    """The file that the page would save."""
    script = f"""rdaq.image.made({kind!r}).then(async ({{blob}}) => {{
        let text = '';
        for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
        return btoa(text);
    }})"""
    return base64.b64decode(tab.run(script))


def picture(data: bytes) -> NDArray[Any]:
    """A PNG as an array, shape (height, width) or (height, width, 3 or 4)."""
    return np.asarray(Image.open(io.BytesIO(data)))


def view(tab: Tab, **settings: Any) -> dict[str, Any]:
    """Change the view, and wait until it is drawn; all of it as it is now."""
    before = "rdaq.image.frame = {...rdaq.image.frame, view: {}}"
    tab.run(f"({before}, rdaq.image.setView({json.dumps(settings)}))")
    wanted = json.dumps(settings)
    tab.until(f"Object.entries({wanted}).every(([key, value]) => rdaq.image.frame.view[key] === value)")
    return json.loads(tab.run("JSON.stringify(rdaq.image.frame.view)"))
