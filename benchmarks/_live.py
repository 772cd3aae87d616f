"""Readers beside a run of frames: for F18. ``python -m benchmarks._live URI KEY`` is one in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx

# Between two looks for a run that Tiled does not have yet, s: each costs the server some 40 ms of CPU.
LOOK_EVERY = 0.1
OCTETS = "application/octet-stream"


def http(uri: str, key: str) -> httpx.Client:
    """A client that asks for no compression, as ours do on loopback."""
    headers = {"Authorization": f"Apikey {key}", "Accept-Encoding": "identity"}
    return httpx.Client(base_url=uri, headers=headers, trust_env=False, timeout=30)


def shape(client: httpx.Client, uid: str) -> list[int]:
    """Shape of the frames that Tiled shows; empty while there are none."""
    reply = client.get(f"/metadata/{uid}/primary/cam", params={"fields": "structure"})
    if reply.status_code == httpx.codes.NOT_FOUND:
        return []
    return list(reply.raise_for_status().json()["data"]["attributes"]["structure"]["shape"])


def frames(client: httpx.Client, uid: str, part: str) -> bytes:
    """The bytes of some frames: ``3`` or ``0:8``."""
    return (
        client.get(f"/array/full/{uid}/primary/cam", params={"slice": part, "format": OCTETS})
        .raise_for_status()
        .content
    )


def watch(uri: str, key: str) -> Iterator[tuple[int, float]]:
    """Each time Tiled tells of more frames and the newest was read: how many there are, and when (s since the epoch).

    The run's uid comes on standard input, once this process has loaded what it needs.
    """
    from tiled.client import from_uri
    from tiled.client.stream import ArraySubscription

    told: SimpleQueue[int] = SimpleQueue()

    def note(update: Any) -> None:
        told.put(update.shape[0])

    with http(uri, key) as client:
        context = from_uri(uri, api_key=key).context
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        uid = sys.stdin.readline().strip()
        while not shape(client, uid):
            time.sleep(LOOK_EVERY)
        subscription = ArraySubscription(context, [uid, "primary", "cam"])
        subscription.new_data.add_callback(note)  # holds it weakly
        subscription.start_in_thread()
        told.put(shape(client, uid)[0])  # what came before the subscription
        seen = 0
        while True:
            rows = told.get()
            while not told.empty():
                rows = max(rows, told.get())
            if rows > seen:
                frames(client, uid, str(rows - 1))
                seen = rows
                yield seen, time.time()


class Reader:
    """:func:`watch` in a process of its own; ``seen`` grows once it was told the run."""

    def __init__(self, uri: str, key: str) -> None:
        command = [sys.executable, "-m", "benchmarks._live", uri, key]
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the reader did not start")
        self.seen: list[tuple[int, float]] = []
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            rows, moment = json.loads(line)
            self.seen.append((rows, moment))

    def begin(self, uid: str) -> None:
        """Read the frames of this run."""
        assert self._process.stdin is not None
        self._thread.start()
        self._process.stdin.write(f"{uid}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        if self._thread.is_alive():
            self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def bytes_read(pid: int) -> int:
    """Bytes that a process has read so far, from the page cache or from disk."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def main(uri: str, key: str) -> None:
    """The reader's process."""
    for line in watch(uri, key):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
