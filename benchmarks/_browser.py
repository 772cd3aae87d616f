"""Chromium without a screen, driven by the DevTools protocol; drawn by its software GL."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# No GPU is needed, nothing outside is asked, nothing of the user's is touched.
OPTIONS = [
    "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--disable-default-apps", "--disable-extensions", "--no-proxy-server",
    "--mute-audio", "--enable-precise-memory-info", "--window-size=1400,1000", "--remote-debugging-port=0",
]  # fmt: skip
BOUND = 30.0
"""Seconds for whatever is waited for."""


class PageError(AssertionError):
    """JavaScript that was run in the page failed."""


class Browser:
    """One process with an empty profile; a context manager.

    :param options: of Chromium, besides.
    """

    def __init__(self, *options: str) -> None:
        assert PROGRAM, "Chromium is not installed"
        self._folder = Path(tempfile.mkdtemp(prefix="rdaq-chromium-"))
        self._process = subprocess.Popen(
            [PROGRAM, *OPTIONS, *options, f"--user-data-dir={self._folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._tabs: list[Tab] = []
        try:
            self._port = int(self._told().split()[0])
        except BaseException:
            self.close()
            raise

    def _told(self) -> str:
        file = self._folder / "DevToolsActivePort"
        end = time.monotonic() + BOUND
        while time.monotonic() < end and self._process.poll() is None:
            if file.exists() and (text := file.read_text()).count("\n"):
                return text
            time.sleep(0.02)
        raise AssertionError("Chromium did not start")

    @property
    def pid(self) -> int:
        """Of its first process."""
        return self._process.pid

    def open(self, address: str, *, beside: bool = False) -> Tab:
        """A page in a tab of its own, which hides the one before; or beside it, in a window of its own."""
        tab = Tab(self._new_window() if beside else self._asked("new?about:blank", "PUT"))
        self._tabs.append(tab)
        tab.go(address)
        return tab

    def _asked(self, what: str, method: str = "GET") -> str:
        """The address of something to talk to."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/{what}", method=method)
        with urllib.request.urlopen(request, timeout=BOUND) as reply:
            return str(json.load(reply)["webSocketDebuggerUrl"])

    def _new_window(self) -> str:
        address = self._asked("version")
        with connect(address, max_size=None, open_timeout=BOUND, close_timeout=1, proxy=None) as socket:
            params = {"url": "about:blank", "newWindow": True}
            socket.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": params}))
            while "result" not in (said := json.loads(socket.recv(BOUND))):
                assert "error" not in said, said
        return f"{address.split('/browser/')[0]}/page/{said['result']['targetId']}"

    def close(self) -> None:
        """End all of its processes, which are in a session of their own."""
        for tab in self._tabs:
            tab.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(BOUND)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Tab:
    """A page: run JavaScript in it, press keys, look at its pixels."""

    def __init__(self, address: str) -> None:
        self._closing = ExitStack()
        # What the page tells waits until something is asked, however long that is, and holds up nothing.
        quiet: dict[str, Any] = {"ping_interval": None, "max_queue": None}
        opened = connect(address, max_size=None, open_timeout=BOUND, close_timeout=1, proxy=None, **quiet)
        self._socket: ClientConnection = self._closing.enter_context(opened)
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command, and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        end = time.monotonic() + BOUND
        while True:
            said = json.loads(self._socket.recv(max(0.01, end - time.monotonic())))
            if said.get("id") == number:
                if "error" in said:
                    raise PageError(f"{method}: {said['error']}")
                return dict(said["result"])
            if "method" in said:
                self.events.append(said)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited when it is a promise."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in found:
            raise PageError(f"{script[:200]}: {found['exceptionDetails'].get('exception', found)}")
        return found["result"].get("value")

    def until(self, script: str, condition: Callable[[Any], Any] = bool, *, seconds: float = BOUND) -> Any:
        """Wait until an expression's value is as it should be, and give that."""
        end = time.monotonic() + seconds
        while not condition(value := self.run(script)):
            assert time.monotonic() < end, f"{script}: still {value!r}; errors: {self.errors()}"
            time.sleep(0.02)
        return value

    def go(self, address: str) -> None:
        """Load a page."""
        self.ask("Page.navigate", url=address)
        self.until(f"location.href == {json.dumps(address)} && document.readyState", lambda state: state == "complete")

    def text(self, element: str) -> str:
        """Of an element by its id."""
        return str(self.run(f"document.getElementById({json.dumps(element)}).textContent"))

    def click(self, selector: str) -> None:
        """Press an element as a person does: with the mouse, at its middle."""
        where = f"document.querySelector({json.dumps(selector)})"
        box = self.run(f"{where}.scrollIntoView({{block: 'center'}}), {where}.getBoundingClientRect().toJSON()")
        self.mouse("mousePressed", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.mouse("mouseReleased", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """``mousePressed``, ``mouseMoved``, ``mouseReleased``, ``mouseWheel``."""
        button = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
        if kind in ("mouseWheel", "mouseMoved"):
            button = {"button": "none", "buttons": more.pop("buttons", 0)}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From one place to another."""
        self.mouse("mousePressed", *start)
        for share in (0.5, 1.0):
            place = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", *place, buttons=1)
        self.mouse("mouseReleased", *end)

    def key(self, key: str, *, shift: bool = False, alt: bool = False) -> None:
        """Press a key, wherever the focus is."""
        text = {"text": key} if len(key) == 1 else {}
        code = {"Tab": 9}.get(key, 0)  # without its number a browser does not know what it means
        about = {"key": key, "code": key, "modifiers": 8 * shift + alt, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def fill(self, selector: str, value: str) -> None:
        """Type into a field, and leave it."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{where}.value = {json.dumps(value)}, {where}.dispatchEvent(new Event('change', {{bubbles: true}}))")

    def picture(self, **clip: float) -> bytes:
        """What is to be seen, as PNG."""
        area = {"clip": {**clip, "scale": 1}} if clip else {}
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png", **area)["data"])

    def metrics(self) -> dict[str, float]:
        """Of the page's main thread: ``TaskDuration``, ``JSHeapUsedSize`` and so on."""
        return {each["name"]: each["value"] for each in self.ask("Performance.getMetrics")["metrics"]}

    def errors(self) -> list[str]:
        """What went wrong in the page: exceptions, and what its security policy refused."""
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"])[:500])
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"] + event["params"]["entry"].get("url", ""))
        return found

    def requests(self) -> list[str]:
        """The addresses of all that was asked for."""
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        made = [e["params"] for e in self.events if e["method"] == "Network.webSocketCreated"]
        return [each["request"]["url"] for each in sent] + [each["url"] for each in made]

    def leave(self) -> None:
        """Close the tab itself; another one of its browser comes to the front."""
        self.ask("Page.close")

    def close(self) -> None:
        """Talk to it no more."""
        self._closing.close()
