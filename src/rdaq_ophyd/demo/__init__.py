"""``rdaq demo``: the whole path in one command, without hardware, against the same parts that real work uses."""

from ._demo import run

__all__ = ["run"]
