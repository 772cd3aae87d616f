"""Light on a bench: from a laser through a wave plate, a polariser and a lens onto a plate, and to a detector.

Pure functions of where everything stands; nothing here knows of instruments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Beam", "Light", "Places", "Spot", "responsivity"]

#: Wavelength for which the bench is adjusted, nm.
NOMINAL = 800.0
#: Tuning curve of the laser: distance from ``NOMINAL`` at which nothing would be left, nm.
GAIN_WIDTH = 320.0
#: A silicon detector's responsivity peaks at this wavelength and falls to nothing this far from it, nm.
RESPONSIVITY_PEAK, RESPONSIVITY_WIDTH = 950.0, 900.0


@dataclass(frozen=True)
class Light:
    """What a laser does.

    :param wavelength: nm.
    :param emitting: the emission is on.
    :param open: the shutter is open.
    :param level: the part of its full output that it gives, less than 1 while it comes up.
    """

    wavelength: float = NOMINAL
    emitting: bool = True
    open: bool = True
    level: float = 1.0

    @property
    def strength(self) -> float:
        """What leaves the laser, as a part of that at the nominal wavelength."""
        if not (self.emitting and self.open):
            return 0.0
        return self.level * max(0.0, 1.0 - ((self.wavelength - NOMINAL) / GAIN_WIDTH) ** 2)


@dataclass(frozen=True)
class Places:
    """Where stages and mounts stand.

    :param x: of the plate across the beam, mm; ``y`` of its height.
    :param z: of the lens along the beam, mm.
    :param polariser: its angle, degrees.
    :param waveplate: that of the half-wave plate before it, degrees.
    """

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    polariser: float = 0.0
    waveplate: float = 0.0


@dataclass(frozen=True)
class Spot:
    """What a camera that looks at the plate sees, relative to everything at zero.

    :param size: of its radius.
    :param power: of the light in it.
    """

    size: float = 1.0
    power: float = 1.0


@dataclass(frozen=True)
class Beam:
    """A Gaussian beam and what it meets; positions are those of stages and mounts, counted from their home switches.

    With all of them at zero the detector gets ``power`` and ``background``: everything else is relative to that.

    :param radius: distance from the centre at which the intensity is 1/e² of its peak, with the lens at 0, mm.
    :param centre: plate position at which its edge lets half of the power pass, mm.
    :param power: of the uncut beam, with the polariser at 0, W.
    :param background: light that passes by the plate, W.
    :param axis: angle of the polariser's highest transmission with the wave plate at 0, degrees.
    :param extinction: lowest transmission as a part of the highest.
    :param waist: radius in the focus, mm, less than ``radius``.
    :param focus: lens position with the focus on the plate, mm.
    :param pinhole: plate position (x, y) with the pinhole in the middle of the beam, mm.
    :param pinhole_radius: small against the beam, mm.
    """

    radius: float = 0.5
    centre: float = 1.2
    power: float = 1e-3
    background: float = 50e-9
    axis: float = 20.0
    extinction: float = 1e-3
    waist: float = 0.3
    focus: float = 3.0
    pinhole: tuple[float, float] = (4.0, 2.0)
    pinhole_radius: float = 0.05

    def behind_knife(self, position: float) -> float:
        """Watts on the detector with the edge at ``position`` mm and all else at 0; less with a higher position."""
        return self.watts(Places(x=position))

    def watts(self, at: Places, light: Light = Light()) -> float:
        """Watts on the detector."""
        passing = self.past_edge(at) + self.through_pinhole(at)
        return self.background + self.power * self.spot(at, light).power * passing

    def spot(self, at: Places, light: Light = Light()) -> Spot:
        """The beam on the plate, whatever it meets there."""
        through = self.through_polariser(at.polariser, at.waveplate)
        return Spot(self.radius_at(at.z) / self.radius, light.strength * through)

    def radius_at(self, z: float) -> float:
        """1/e² radius on the plate, mm, with the lens at ``z``; a hyperbola with ``radius`` at 0."""
        if self.focus == 0.0 or self.waist >= self.radius:
            return self.radius
        depth = ((self.radius / self.waist) ** 2 - 1.0) / self.focus**2
        return self.waist * math.sqrt(1.0 + depth * (z - self.focus) ** 2)

    def past_edge(self, at: Places) -> float:
        """The part that passes beside the edge."""
        return 0.5 * math.erfc(math.sqrt(2.0) * (at.x - self.centre) / self.radius_at(at.z))

    def through_pinhole(self, at: Places) -> float:
        """The part that passes the pinhole; its size is small, so that the intensity is the same over it."""
        radius = self.radius_at(at.z)
        away = math.hypot(at.x - self.pinhole[0], at.y - self.pinhole[1])
        return -math.expm1(-2.0 * (self.pinhole_radius / radius) ** 2) * math.exp(-2.0 * (away / radius) ** 2)

    def through_polariser(self, polariser: float, waveplate: float = 0.0) -> float:
        """Malus' law with a leak, relative to both at 0; the wave plate turns the polarisation by twice its angle."""
        return self._malus(polariser - 2.0 * waveplate) / self._malus(0.0)

    def _malus(self, angle: float) -> float:
        along = math.cos(math.radians(angle - self.axis)) ** 2
        return self.extinction + (1.0 - self.extinction) * along


def responsivity(wavelength: float) -> float:
    """Of the detector, relative to its peak; a detector set to another wavelength than the light's misreads by it."""
    return max(0.0, 1.0 - ((wavelength - RESPONSIVITY_PEAK) / RESPONSIVITY_WIDTH) ** 2)
