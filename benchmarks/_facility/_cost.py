"""What server processes cost: CPU time and memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psutil


def cpu_seconds(servers: Mapping[str, Iterable[psutil.Process]]) -> float:
    """Of all of them, and of children of theirs that have ended."""
    total = 0.0
    for process in (each for group in servers.values() for each in group):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # a backend of PostgreSQL whose client went; the postmaster counts it
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def memory(servers: Mapping[str, Iterable[psutil.Process]]) -> dict[str, int]:
    """Bytes by kind of server; what processes share is counted by its share, where the system tells."""
    found = {}
    for name, processes in servers.items():
        total = 0
        for process in processes:
            try:
                info = process.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            total += getattr(info, "pss", info.rss)
        found[name] = total
    return found
