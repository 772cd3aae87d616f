"""A run of frames with readers beside it: for F18. ``python -m benchmarks._live URI KEY UID`` is the reader."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

# Between two looks of the reader, s. A look costs the server some 40 ms of CPU, so that more of them would be slower.
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


def watch(uri: str, key: str, uid: str) -> Iterator[tuple[int, float]]:
    """Each time there are more frames and the newest was read: how many there are, and when (s since the epoch)."""
    seen = 0
    with http(uri, key) as client:
        while True:
            began = time.monotonic()
            now = shape(client, uid)
            if now and now[0] > seen:
                frames(client, uid, str(now[0] - 1))
                seen = now[0]
                yield seen, time.time()
            time.sleep(max(0.0, LOOK_EVERY - (time.monotonic() - began)))


@contextmanager
def watching(uri: str, key: str, uid: str) -> Iterator[list[tuple[int, float]]]:
    """The same in a process of its own, while the block runs; the list grows meanwhile."""
    command = [sys.executable, "-m", "benchmarks._live", uri, key, uid]
    found: list[tuple[int, float]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as reader:
        assert reader.stdout is not None
        thread = threading.Thread(target=lambda: found.extend(tuple(json.loads(line)) for line in reader.stdout or ()))
        thread.start()
        try:
            yield found
        finally:
            reader.kill()
            thread.join()


def bytes_read(pid: int) -> int:
    """Bytes that a process has read so far, from the page cache or from disk."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def main(uri: str, key: str, uid: str) -> None:
    """The reader's process."""
    for line in watch(uri, key, uid):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
