"""Where an axis is at any time: motion as a list of constant-acceleration pieces, a pure function of time."""

from __future__ import annotations

import math
from typing import NamedTuple


class Piece(NamedTuple):
    """Motion of constant acceleration that begins at ``t`` (s) with position ``p`` and velocity ``v``."""

    t: float
    p: float
    v: float
    a: float


class Trajectory(NamedTuple):
    """Pieces in order of time and the rest that follows them; immutable, so that any thread may read it."""

    pieces: tuple[Piece, ...]
    end: float
    target: float

    @classmethod
    def rest(cls, t: float, position: float) -> Trajectory:
        """An axis that stands still at ``position`` from ``t`` on."""
        return cls((Piece(t, position, 0.0, 0.0),), t, position)

    def state(self, t: float) -> tuple[float, float]:
        """Position and velocity at time ``t`` (s)."""
        if t >= self.end:
            return self.target, 0.0
        piece = self.pieces[0]
        for later in self.pieces[1:]:
            if later.t > t:
                break
            piece = later
        dt = max(0.0, t - piece.t)
        return piece.p + piece.v * dt + 0.5 * piece.a * dt * dt, piece.v + piece.a * dt

    def time_at(self, position: float) -> float | None:
        """First time (s) at which the axis is at ``position``; None where it never gets there."""
        ends = [*(later.t for later in self.pieces[1:]), self.end]
        for piece, end in zip(self.pieces, ends, strict=True):
            times = [dt for dt in _roots(0.5 * piece.a, piece.v, piece.p - position) if 0.0 <= dt <= end - piece.t]
            if times:
                return piece.t + min(times)
        return None


class _Path:
    """Collects pieces one after another."""

    def __init__(self, t: float, p: float, v: float) -> None:
        self.t, self.p, self.v = t, p, v
        self.pieces: list[Piece] = []

    def add(self, duration: float, a: float) -> None:
        """Append a piece of ``duration`` s with acceleration ``a``."""
        if duration > 0.0:
            self.pieces.append(Piece(self.t, self.p, self.v, a))
            self.p += self.v * duration + 0.5 * a * duration * duration
            self.v += a * duration
            self.t += duration

    def brake(self, deceleration: float, room: float) -> None:
        """Append the piece that brings the velocity to nothing within ``room``."""
        deceleration = max(deceleration, self.v * self.v / (2.0 * room))
        self.add(abs(self.v) / deceleration, -math.copysign(deceleration, self.v))
        self.v = 0.0

    def done(self, target: float | None = None) -> Trajectory:
        """The trajectory; ``target`` takes the rounding of the last position away."""
        place = self.p if target is None else target
        return Trajectory(tuple(self.pieces) or (Piece(self.t, place, 0.0, 0.0),), self.t, place)


def brake(t: float, p: float, v: float, deceleration: float, room: float = math.inf) -> Trajectory:
    """Decelerate to a stop, harder than ``deceleration`` where the ``room`` to the next limit asks for it."""
    if v == 0.0 or room <= 0.0:
        return Trajectory.rest(t, p)
    path = _Path(t, p, v)
    path.brake(deceleration, room)
    return path.done()


def move(
    t: float, p: float, v: float, target: float, speed: float, acceleration: float, deceleration: float, room: float
) -> Trajectory:
    """A trapezoid from position ``p`` with velocity ``v`` to ``target``.

    Where it cannot stop before the target it brakes within ``room`` and turns round.
    """
    if v != 0.0 and room <= 0.0:
        v = 0.0
    path = _Path(t, p, v)
    if v * (target - p) < 0.0 or v * v > 2.0 * deceleration * abs(target - p):
        path.brake(deceleration, room)
    sign = math.copysign(1.0, target - path.p)
    distance, v = abs(target - path.p), abs(path.v)
    if v > speed:
        path.add((v - speed) / deceleration, -sign * deceleration)
        cruise = distance - v * v / (2.0 * deceleration)
        peak = speed
    else:
        free = (distance + v * v / (2.0 * acceleration)) / (0.5 / acceleration + 0.5 / deceleration)
        peak = min(speed, math.sqrt(free))
        path.add((peak - v) / acceleration, sign * acceleration)
        cruise = distance - (peak * peak - v * v) / (2.0 * acceleration) - peak * peak / (2.0 * deceleration)
    if peak > 0.0:
        path.add(cruise / peak, 0.0)
        path.add(peak / deceleration, -sign * deceleration)
    return path.done(target)


def _roots(a: float, b: float, c: float) -> list[float]:
    """Real roots of ``a x² + b x + c``."""
    if a == 0.0:
        return [-c / b] if b else []
    square = b * b - 4.0 * a * c
    if square < 0.0:
        return []
    return [(-b - math.sqrt(square)) / (2.0 * a), (-b + math.sqrt(square)) / (2.0 * a)]
