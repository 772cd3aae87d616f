"""Reads the newest frame of a run through Tiled over HTTP, again and again, until its standard input closes."""

from __future__ import annotations

import sys
import threading

from tiled.client import from_uri


def main() -> None:
    """``python -m benchmarks._reader URI API_KEY UID KEY``; the number of frames read on the last line."""
    uri, api_key, uid, key = sys.argv[1:]
    client = from_uri(uri, api_key=api_key)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    read = 0
    while not ended.is_set():
        try:
            frames = client[uid]["primary"][key]
            if len(frames):
                frames[-1]
                read += 1
        except KeyError:  # the run, its stream or its camera is not there yet
            ended.wait(0.05)
    print(read, flush=True)


if __name__ == "__main__":
    main()
