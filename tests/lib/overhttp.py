"""A process of its own that reads the newest frames of a run through Tiled's HTTP, as soon as Tiled shows them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
READS = """
    import hashlib, json, sys, time
    from benchmarks._live import frames, http, shape
    with http(sys.argv[1], sys.stdin.readline().strip()) as client:
        uid, seen = sys.stdin.readline().strip(), 0
        while True:
            rows = (shape(client, uid) or [0])[0]
            if rows > seen:
                newest = frames(client, uid, str(rows - 1))
                print(json.dumps([rows, hashlib.sha256(newest).hexdigest()]), flush=True)
                seen = rows
            time.sleep(0.05)
"""


class OverHttp:
    """The process; ``readings`` grows by the number of rows and the SHA-256 of the last one."""

    def __init__(self, uri: str, key: str) -> None:
        self.readings: list[tuple[int, str]] = []
        self._process = subprocess.Popen(
            [sys.executable, "-X", "preloaded", "-c", textwrap.dedent(READS), uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._say(key)
        self._thread = threading.Thread(target=self._read, name="over-http")

    def _say(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        self.readings.extend(map(json.loads, self._process.stdout))

    def begin(self, uid: str) -> None:
        """Read the frames of this run."""
        self._say(uid)

    def read_often(self, number: int) -> bool:
        """Whether it has read so many times.

        :raises AssertionError: it has died.
        """
        assert self._process.poll() is None, "the reader died"
        return len(self.readings) >= number

    def __enter__(self) -> OverHttp:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(30)
        self._process.stdin.close()
        self._process.stdout.close()
