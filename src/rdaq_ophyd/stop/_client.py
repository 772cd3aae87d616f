"""Ask processes that own instruments, from another process."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ._listener import receive, send
from ._runfile import RunFile

LONGEST_ANSWER = 1 << 22
"""Bytes; a trace of long replies is the longest."""


def ask(process: RunFile, timeout: float, **request: Any) -> Mapping[str, Any]:
    """Send one request and wait for its answer.

    :param timeout: seconds.
    :return: the answer; ``{"error": …}`` also when there was none.
    """
    try:
        with socket.create_connection(("127.0.0.1", process.port), timeout=timeout) as peer:
            send(peer, {"token": process.token, **request})
            answer = receive(peer, timeout, LONGEST_ANSWER)
    except TimeoutError:
        return {"error": f"did not answer within {timeout:g} s", "silent": True}
    except OSError as error:
        return {"error": f"cannot be reached: {error}", "silent": True}
    return {"error": "hung up without an answer", "silent": True} if answer is None else answer


def ask_all(processes: list[RunFile], timeout: float, **request: Any) -> list[Mapping[str, Any]]:
    """The same of several processes at once."""
    if not processes:
        return []
    with ThreadPoolExecutor(len(processes)) as pool:
        return list(pool.map(lambda process: ask(process, timeout, **request), processes))
