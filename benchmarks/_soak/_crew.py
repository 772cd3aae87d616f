"""The clients in processes of their own, a thread each: ``python -m benchmarks._soak._crew ADDRESS KIND …``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Self

from benchmarks._apart import ROOT
from benchmarks._soak.clients import CREW, World

START, END = 90.0, 120.0
"""Seconds in which all have begun, and have told what they saw."""
BY_NAME = {kind.__name__: kind for kind in CREW}
APART = (
    ("documents", "watchers"),
    ("runners", "movers", "readers"),
    ("fast_viewers", "slow_viewers", "stalled_viewers"),
)
"""Kinds that share a process; all others share another. A reliable listener is not slowed down by others."""


class Crew:
    """All clients, until the context ends.

    :param address: of the daemon.
    :ivar told: what each saw, by kind, once :meth:`end` was called.
    """

    def __init__(self, address: str, crew: dict[str, int]) -> None:
        self.told: dict[str, list[dict[str, Any]]] = {}
        rest = tuple(kind for kind in crew if not any(kind in group for group in APART))
        groups = [[kind for kind in group if kind in crew] for group in (*APART, rest)]
        self._children = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks._soak._crew", address, *(f"{kind}={crew[kind]}" for kind in group)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for group in groups
            if group
        ]
        for child in self._children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError("clients did not begin")

    def end(self) -> None:
        """Tell all that this is the end, and hear what they saw."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write("over\n")
            child.stdin.flush()
        for child in self._children:
            out, _ = child.communicate(timeout=END)
            for kind, told in json.loads(out.splitlines()[-1]):
                self.told.setdefault(kind, []).append(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
                child.communicate()


def main(address: str, wanted: list[str]) -> None:
    """Let them do what they do until a line comes on standard input."""
    over, told, lock = threading.Event(), [], threading.Lock()

    def act(kind: str, number: int) -> None:
        try:
            saw = BY_NAME[kind](World(address, over, number))
        except BaseException:  # noqa: BLE001 a client that dies fails the soak, in words
            saw = {"wrong": [traceback.format_exc()]}
        with lock:
            told.append((kind, saw))

    threads = [
        threading.Thread(target=act, args=(kind, number), name=f"{kind} {number}")
        for kind, _, count in (word.partition("=") for word in wanted)
        for number in range(int(count))
    ]
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    over.set()
    for thread in threads:
        thread.join(END - 20)
        if thread.is_alive():
            with lock:
                told.append((thread.name.split()[0], {"wrong": [f"{thread.name} did not end"]}))
    with lock:
        sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    if any(thread.is_alive() for thread in threads):
        import os

        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
