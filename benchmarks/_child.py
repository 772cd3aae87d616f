"""Programs in processes of their own that are told what to do, a line of JSON each, and answer with one."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
START = 60.0
"""Seconds for a program to come up; a session starts its catalog first."""


class Child:
    """Runs ``python -m MODULE ARGUMENTS…``; its first line is what it has to say about itself.

    :ivar ready: that.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._rest = b""
        try:
            self.ready = self.answer(START)
        except BaseException:
            self.close()
            raise

    def tell(self, **what: Any) -> None:
        """Say what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, seconds: float = 60.0) -> Any:
        """Its next line.

        :raises TimeoutError: it said nothing for so long.
        :raises RuntimeError: it ended.
        """
        assert self._process.stdout is not None
        out, end = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._rest:
            if not select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"{self._name} said nothing for {seconds:g} s")
            if not (data := os.read(out, 65536)):
                raise RuntimeError(f"{self._name} ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def ask(self, **what: Any) -> Any:
        """Say what to do, and wait for the answer."""
        self.tell(**what)
        return self.answer()

    def close(self) -> None:
        """End it, by closing its input; bounded."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


def obey(ready: Any, do: Callable[..., Any]) -> None:
    """The other side: say that it is ready, then do what each line says until there are no more.

    :param do: takes what a line says by name, and returns what is answered.
    """
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(do(**json.loads(line))), flush=True)
