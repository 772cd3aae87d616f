"""Models of optics fitted to what a scan measured: plain numbers in, a dataclass of numbers out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BeamSpot", "KnifeEdge", "Malus", "beam_radius", "beam_spot", "malus", "vertex"]
logger = logging.getLogger(__name__)

#: Between 10 % and 90 % of the power, a Gaussian beam's knife-edge curve runs over 1.2816 of its 1/e² radius:
#: P(x) = (1 + erf(√2 x / w)) / 2 and erf⁻¹(0.8) = 0.9062.
WIDTH_10_90 = 2 * 0.90619380 / np.sqrt(2)
#: A curve counts as one when it rises over this many times the scatter around its fit; more where few points tell it.
SIGNIFICANT = 5.0
#: How sure it has to be that scatter alone does not rise so far (Student's t, both signs).
CONFIDENCE = 0.99
#: A dependence on the angle counts as one when scatter looks like it less often than this.
BY_CHANCE = 1e-4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnifeEdge:
    """A knife-edge curve: P(x) = background + power (1 ± erf(√2 (x - center) / radius)) / 2.

    :ivar center: blade position at half of the power, in the stage's units; ``center_error`` its standard deviation.
    :ivar radius: 1/e² radius of the beam, in the stage's units; ``radius_error`` its standard deviation.
    :ivar power: that the blade cuts off, in the meter's units.
    :ivar background: that it does not.
    :ivar residual: root mean square of what the fit leaves, as a part of ``power``.
    """

    center: float = field(metadata={"units": "x"})
    radius: float = field(metadata={"units": "x"})
    center_error: float = field(metadata={"units": "x"})
    radius_error: float = field(metadata={"units": "x"})
    power: float = field(metadata={"units": "p"})
    background: float = field(metadata={"units": "p"})
    residual: float


def beam_radius(position: ArrayLike, power: ArrayLike) -> KnifeEdge | None:
    """Centre and 1/e² radius from a knife-edge curve.

    :param position: blade positions, shape (n,), in any order.
    :param power: power at each, shape (n,); the curve may rise or fall.
    :return: None when the curve has no edge in it: flat, fewer than five points, or no error function fits.
    """
    x, p = np.asarray(position, float), np.asarray(power, float)
    order = np.argsort(x)
    x, p = x[order], p[order]
    if len(x) < 5 or np.ptp(p) == 0 or np.ptp(x) == 0:
        return None
    from scipy.special import erf, stdtrit  # half a second, wanted only when a scan is over

    def curve(at: Floats, center: float, radius: float, rise: float, middle: float) -> Floats:
        return np.asarray(middle + rise / 2 * erf(np.sqrt(2) * (at - center) / radius))

    level, at = (p - p.min()) / np.ptp(p), (x - x.mean()) / np.ptp(x)  # least squares wants numbers near one
    falls = level[0] > level[-1]
    rising = np.maximum.accumulate(1 - level if falls else level)  # noise must not make a crossing ambiguous
    x10, x50, x90 = np.interp([0.1, 0.5, 0.9], rising, at)
    guess = [x50, max(abs(x90 - x10) / WIDTH_10_90, 1 / len(x)), -1.0 if falls else 1.0, 0.5]
    fitted = _fit(curve, at, level, guess)
    if fitted is None:
        return None
    (center, radius, rise, middle), (center_error, radius_error, *_), rms = fitted
    significant = max(SIGNIFICANT, float(stdtrit(len(x) - 4, (1 + CONFIDENCE) / 2)))
    if not (at[0] <= center <= at[-1] and abs(rise) > significant * rms):
        return None
    width, height = float(np.ptp(x)), float(np.ptp(p))
    return KnifeEdge(
        center=float(x.mean()) + center * width,
        radius=abs(radius) * width,
        center_error=center_error * width,
        radius_error=radius_error * width,
        power=abs(rise) * height,
        background=float(p.min()) + (middle - abs(rise) / 2) * height,
        residual=rms / abs(rise),
    )


@dataclass(frozen=True)
class Malus:
    """Malus' law: P(θ) = minimum + (maximum - minimum) cos²(θ - angle_max).

    :ivar angle_max: of the highest transmission, degrees from 0 to below 180; ``angle_error`` its standard deviation.
    :ivar angle_min: of extinction, degrees from 0 to below 180.
    :ivar maximum: highest power, in the meter's units.
    :ivar minimum: lowest power.
    :ivar extinction_ratio: maximum to minimum; where the minimum is not told from nothing, a lower bound.
    :ivar residual: root mean square of what the fit leaves, as a part of ``maximum`` less ``minimum``.
    """

    angle_max: float = field(metadata={"units": "deg"})
    angle_min: float = field(metadata={"units": "deg"})
    angle_error: float = field(metadata={"units": "deg"})
    maximum: float = field(metadata={"units": "p"})
    minimum: float = field(metadata={"units": "p"})
    extinction_ratio: float
    residual: float


def malus(angle: ArrayLike, power: ArrayLike) -> Malus | None:
    """Fit Malus' law by linear least squares in cos 2θ and sin 2θ.

    :param angle: degrees, shape (n,).
    :param power: power at each, shape (n,).
    :return: None when the power does not depend on the angle, or there are fewer than four different angles.
    """
    theta, p = np.deg2rad(np.asarray(angle, float)), np.asarray(power, float)
    if len(np.unique(np.round(theta, 9))) < 4:
        return None
    matrix = np.column_stack([np.ones_like(theta), np.cos(2 * theta), np.sin(2 * theta)])
    (mean, c, s), _, rank, _ = np.linalg.lstsq(matrix, p, rcond=None)
    amplitude = float(np.hypot(c, s))
    rms = _rms(p - matrix @ np.array([mean, c, s]), 3)
    # The chance that scatter alone looks like this: the F test, which for two parameters is a plain power.
    left, whole = rms**2 * max(1, len(p) - 3), float(np.sum((p - p.mean()) ** 2))
    if rank < 3 or amplitude <= 0 or whole == 0 or (left / whole) ** ((len(p) - 3) / 2) > BY_CHANCE:
        return None
    covariance = rms**2 * np.linalg.inv(matrix.T @ matrix)
    angle_error = np.sqrt(s**2 * covariance[1, 1] + c**2 * covariance[2, 2] - 2 * s * c * covariance[1, 2]) / (
        2 * amplitude**2
    )
    best = float(np.rad2deg(np.arctan2(s, c) / 2) % 180)
    high, low = float(mean + amplitude), float(mean - amplitude)
    gradient = np.array([1.0, -c / amplitude, -s / amplitude])
    told_apart = max(low, float(np.sqrt(gradient @ covariance @ gradient)), np.finfo(float).tiny * abs(high) + 1e-300)
    return Malus(
        best, (best + 90) % 180, float(np.rad2deg(angle_error)), high, low, high / told_apart, rms / (2 * amplitude)
    )


@dataclass(frozen=True)
class BeamSpot:
    """A Gaussian spot: P = background + peak exp(-2 (x - x0)² / radius_x² - 2 (y - y0)² / radius_y²).

    :ivar x: of the centre, in the units of the axis; ``y`` likewise.
    :ivar radius_x: 1/e² radius along x; ``radius_y`` along y.
    :ivar peak: above the background, in the detector's units.
    :ivar residual: root mean square of what the fit leaves, as a part of ``peak``.
    """

    x: float = field(metadata={"units": "x"})
    y: float = field(metadata={"units": "y"})
    radius_x: float = field(metadata={"units": "x"})
    radius_y: float = field(metadata={"units": "y"})
    peak: float = field(metadata={"units": "p"})
    background: float = field(metadata={"units": "p"})
    residual: float


def beam_spot(x: ArrayLike, y: ArrayLike, power: ArrayLike) -> BeamSpot | None:
    """Centre and 1/e² radii of a spot.

    :param x: positions, shape (n,); ``y`` too, and ``power`` at each.
    :return: None when there is no spot: flat, fewer than seven points, or the centre is outside of them.
    """
    at_x, at_y, p = (np.asarray(values, float) for values in (x, y, power))
    if len(p) < 7 or min(np.ptp(at_x), np.ptp(at_y), np.ptp(p)) == 0:
        return None

    def spot(at: tuple[Floats, Floats], x0: float, y0: float, rx: float, ry: float, peak: float, low: float) -> Floats:
        return np.asarray(low + peak * np.exp(-2 * ((at[0] - x0) / rx) ** 2 - 2 * ((at[1] - y0) / ry) ** 2))

    (mid_x, mid_y), (width, height) = (at_x.mean(), at_y.mean()), (np.ptp(at_x), np.ptp(at_y))
    level = (p - p.min()) / np.ptp(p)
    u, v = (at_x - mid_x) / width, (at_y - mid_y) / height
    weight = np.clip(level - np.median(level), 0, None)
    weight = weight if weight.sum() > 0 else level
    best = int(np.argmax(level))
    radii = [max(2 * np.sqrt(np.average((at - at[best]) ** 2, weights=weight)), 0.05) for at in (u, v)]
    fitted = _fit(spot, (u, v), level, [u[best], v[best], *radii, 1.0, 0.0])
    if fitted is None:
        return None
    (u0, v0, ru, rv, peak, low), _, rms = fitted
    inside = u.min() <= u0 <= u.max() and v.min() <= v0 <= v.max()
    if not inside or peak < SIGNIFICANT * rms:
        return None
    return BeamSpot(
        x=float(mid_x + u0 * width),
        y=float(mid_y + v0 * height),
        radius_x=float(abs(ru) * width),
        radius_y=float(abs(rv) * height),
        peak=float(peak * np.ptp(p)),
        background=float(p.min() + low * np.ptp(p)),
        residual=rms / peak,
    )


def vertex(position: ArrayLike, value: ArrayLike) -> float | None:
    """Where a parabola through the points has its extremum; None where it has none within them."""
    x, v = np.asarray(position, float), np.asarray(value, float)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(v) == 0:
        return None
    middle, width = x.mean(), np.ptp(x)
    bend, slope, _ = np.polyfit((x - middle) / width, v / np.ptp(v), 2)
    if bend == 0:
        return None
    place = float(middle - slope / (2 * bend) * width)
    return place if x.min() <= place <= x.max() else None


def _fit(
    model: Callable[..., Floats], x: Any, y: Floats, guess: list[float]
) -> tuple[list[float], list[float], float] | None:
    """Parameters, their standard deviations and the residuals' root mean square; None where nothing fits."""
    from scipy.optimize import OptimizeWarning, curve_fit

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            found, covariance = curve_fit(model, x, y, guess, method="trf")
    except (RuntimeError, OptimizeWarning) as error:
        logger.warning("no fit: %s", error)
        return None
    errors = np.sqrt(np.diag(covariance))
    if not (np.isfinite(found).all() and np.isfinite(errors).all()):
        return None
    return list(map(float, found)), list(map(float, errors)), _rms(y - model(x, *found), len(guess))


def _rms(residuals: Floats, parameters: int) -> float:
    return float(np.sqrt(np.sum(residuals**2) / max(1, len(residuals) - parameters)))
