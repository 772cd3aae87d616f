"""Whose call is being served, for whatever is logged meanwhile."""

from __future__ import annotations

from contextvars import ContextVar

CALLER: ContextVar[str] = ContextVar("caller", default="nobody")
"""The name of whoever calls."""
CALL: ContextVar[str] = ContextVar("call", default="")
"""What is called: ``RunPlan``."""
