"""Reads the newest frame of a run through Tiled over HTTP, some times a second, until its standard input closes.

It stands for somebody at another computer, and leaves this one's processors to the rig where they are wanted.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading

from tiled.client import from_uri

PERIOD = 0.2
"""Seconds from one frame to the next; a 2048² frame has 8 MB."""


def main() -> None:
    """``python -m benchmarks._reader URI API_KEY KEY``; says that it is ready, hears the run's uid, counts frames."""
    uri, api_key, key = sys.argv[1:]
    os.nice(10)
    importlib.import_module("tiled.client.array")  # else it comes with the first frame: more than a second of one core
    client = from_uri(uri, api_key=api_key)
    print("ready", flush=True)
    uid = sys.stdin.readline().strip()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    read = 0
    while not ended.is_set():
        try:
            frames = client[uid]["primary"][key]
            if len(frames):
                frames[-1]
                read += 1
            ended.wait(PERIOD)
        except KeyError:  # the run, its stream or its camera is not there yet
            ended.wait(0.05)
    print(read, flush=True)


if __name__ == "__main__":
    main()
