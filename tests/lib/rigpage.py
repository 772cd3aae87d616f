"""The page of a rig with instruments: what is where on it, and scans that are begun by another client."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from benchmarks._browser import Tab
from PIL import Image, PngImagePlugin

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
CRAWLING = 0.01
"""mm/s: a millimetre takes longer than anything is waited for."""


def at_pace(session: Any, velocity: float) -> None:
    """Let the axis x move so fast from now on, mm/s."""
    session.RE(bps.mv(session.rig["x"].velocity, velocity))


def card(_tab: Tab, device: str, find: str) -> str:
    """JavaScript for what is in a device's card."""
    return f"rdaq.devices.cards.find((card) => card.device.name === {device!r}).{find}"


def row(tab: Tab, name: str) -> str:
    """JavaScript for a line of a device's card."""
    device = name.split(".")[0]
    return card(tab, device, f"rows.find((row) => row.name === {name!r})")


def button(tab: Tab, name: str, text: str) -> str:
    """JavaScript for a button in such a line."""
    return f"[...{row(tab, name)}.element.querySelectorAll('button')].find((each) => each.textContent === {text!r})"


def begin_scan(tab: Tab, **arguments: Any) -> None:
    """A knife edge scan, as another client begins it."""
    given = {"stage": {"text": "x"}, "power_meter": {"text": "power_meter"}, "start": {"number": 0}}
    given |= {"stop": {"number": 2.4}, "num": {"integer": "11"}} | arguments
    request = f"{{name: 'knife_edge_scan', arguments: {given}}}"
    # Whoever begins it here may be cut off: the plan goes on.
    tab.run(f"void (rdaq.scan = rdaq.connection.begin('RunPlan', {request})).done.catch(() => 0)")


UNDER_WAY = "rdaq.runs.state.engine === 'running' && rdaq.scans.start?.uid === rdaq.runs.state.run_uid"
COLUMN = "rdaq.scans.streams.get('primary')?.columns.x"
BACK = "document.getElementById('connection').textContent === 'connected' && rdaq.stop.isOpen"


def ended(tab: Tab, how: str) -> None:
    """Wait until the latest run has ended so."""
    tab.until("document.querySelector('#recent .status').textContent", lambda text: text == how)


#: What stands on the page whatever the rig: a picture of before is one of another page.
STANDING = """[...document.querySelectorAll('h1, h2, label, button, summary, legend, dt, th')]
    .filter((each) => each.checkVisibility())
    .filter((each) => !each.closest('#devices, #scan-y, #recent, #log, #verdicts, #plan-fields'))
    .map((each) => each.firstChild?.textContent.trim()).filter(Boolean).join('|')"""
RETAKE = "the page has changed since its picture was taken: RDAQ_SCREENSHOTS=docs/how-to pytest -k picture"


def kept_picture(name: str, taken: bytes, standing: str) -> Image.Image:
    """Take a picture anew where ``RDAQ_SCREENSHOTS`` names a folder; the one that the docs have."""
    if folder := os.environ.get("RDAQ_SCREENSHOTS"):
        about = PngImagePlugin.PngInfo()
        about.add_text("page", standing)
        Image.open(io.BytesIO(taken)).save(Path(folder) / name, pnginfo=about)
    return Image.open(DOCS / name)
