"""What all tests of a process share: started once, and no leak of the test or the file that was first."""

from __future__ import annotations

PROCESSES: set[int] = set()
"""Ids of programs."""
