"""A small process that makes the rig safe when its owner dies or hangs."""

from ._guard import Guard

__all__ = ["Guard"]
