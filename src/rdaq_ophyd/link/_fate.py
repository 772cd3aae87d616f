"""What befalls one command and its answer on a faulty line: drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FAULTS = ("drop", "duplicate", "split", "flip", "echo", "mute", "disconnect")
"""Faults that happen with a probability of their own; in the order in which they are drawn."""


@dataclass(frozen=True)
class FaultSettings:
    """How often each fault happens.

    :param delay: seconds from a command to its answer, at least and at most.
    :param odds: probability of each of ``FAULTS`` for one command.
    :raises ValueError: one of them is out of range; names it.
    """

    delay: tuple[float, float]
    odds: Mapping[str, float]

    def __post_init__(self) -> None:
        low, high = self.delay
        if not 0.0 <= low <= high < float("inf"):
            raise ValueError(f"delay={self.delay}: give (at least, at most) in seconds, 0 ≤ at least ≤ at most")
        for name, odds in self.odds.items():
            if not 0.0 <= odds <= 1.0:
                raise ValueError(f"{name}={odds}: a probability is from 0 to 1")
        object.__setattr__(self, "odds", MappingProxyType(dict(self.odds)))

    def __str__(self) -> str:
        return ", ".join([f"delay={self.delay}", *(f"{name}={self.odds[name]}" for name in FAULTS)])


@dataclass
class Fate:
    """Of one command and of what comes in after it.

    ``where`` says, as a part of the answer from 0 to 1, where it is split, cut or flipped; ``due`` when, by the
    monotonic clock, the answer may come at the earliest.
    """

    delay: float = 0.0
    due: float = 0.0
    lost: bool = False
    cut: bool = False
    duplicate: bool = False
    split: bool = False
    flip: bool = False
    echo: bool = False
    mute: bool = False
    gone_before: bool = False
    gone_after: bool = False
    where: float = 0.0
    bit: int = 0


def draw(source: random.Random, settings: FaultSettings) -> Fate:
    """The fate of the next command; always takes as many numbers, so that one setting does not change the others."""
    delay = source.uniform(*settings.delay)
    happens = {name: source.random() < settings.odds[name] for name in FAULTS}
    where, early, bit = source.random(), source.random() < 0.5, source.randrange(8)
    return Fate(
        delay=delay,
        lost=happens["drop"] and early,
        cut=happens["drop"] and not early,
        duplicate=happens["duplicate"],
        split=happens["split"],
        flip=happens["flip"],
        echo=happens["echo"],
        mute=happens["mute"],
        gone_before=happens["disconnect"] and early,
        gone_after=happens["disconnect"] and not early,
        where=where,
        bit=bit,
    )
