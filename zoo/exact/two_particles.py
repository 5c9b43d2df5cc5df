"""Two particles with a force along the line between them: one integral over their distance.

    Z_rel = integral d^d r exp(-u(|r|)) = S_d integral_0^inf dr r^(d-1) exp(-u(r)),

with S_d = 2 pi^(d/2) / Gamma(d/2) the area of the unit sphere.  With r = exp(t) the integrand exp(d t - u(e^t)) is
smooth on the whole line and falls off at both ends; ``line_cumulants`` finds its peaks and integrates it.

What multiplies Z_rel depends on the centre of mass, R = (x_1 + x_2) / 2, r = x_1 - x_2, d^d x_1 d^d x_2 = d^d R d^d r:

* in a trap, k/2 (|x_1|^2 + |x_2|^2) = k |R|^2 + k/4 r^2: a Gaussian factor, (pi / (beta k))^(d/2);
* with x_1 + x_2 = 0 and the Euclidean measure of that subspace: x_1 = -x_2 = y has the measure 2^(d/2) d^d y, and
  r = 2 y, hence 2^(-d/2);
* in a periodic box of volume V: V.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, lgamma, log, pi

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.quadrature import line_cumulants, line_means

RadialFunction = Callable[[Float64[np.ndarray, " point"]], Float64[np.ndarray, " point"]]

_LOG_RANGE = 70.0  # of distances: e^-70 to e^70, far beyond every length that a spec can name
_LARGEST = 1e100  # stands for larger reduced energies where their square is averaged; their weight is 0


def log_sphere_area(dimension: int) -> float:
    """Ln S_d, S_d = 2 pi^(d/2) / Gamma(d/2), the area of the unit sphere in d dimensions (2 points for d = 1)."""
    return float(log(2) + dimension / 2 * log(pi) - lgamma(dimension / 2))


def radial_cumulants(u: RadialFunction, dimension: int, low: float = 0.0, high: float = inf) -> Cumulants:
    """Ln of the integral of exp(-u(|r|)) d^d r over low < |r| < high, with mean and variance of u.

    ``u`` maps distances to reduced energies, +inf where particles cannot be; it is smooth inside the range.

    Raises:
        NumericalError: the integral does not converge.
    """
    ends = (log(low) if low > 0 else -_LOG_RANGE, log(high) if high < inf else _LOG_RANGE)
    log_area = log_sphere_area(dimension)

    def energy(t: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        with np.errstate(over="ignore", divide="ignore"):
            reduced: Float64[np.ndarray, " point"] = np.minimum(u(np.exp(t)), _LARGEST)
            return reduced

    def exponent(t: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        return np.asarray(energy(t) - dimension * t - log_area)

    mean = line_means(exponent, *ends, {"u": energy})["u"]
    spread = line_means(exponent, *ends, {"u": lambda t: (energy(t) - mean) ** 2})["u"]
    return Cumulants(line_cumulants(exponent, *ends).log_z, mean, spread)


def product_of(factors: Sequence[Cumulants]) -> Cumulants:
    """Of independent parts, whose reduced energies add: every cumulant adds."""
    return Cumulants(
        sum(part.log_z for part in factors), sum(part.mean for part in factors), sum(part.variance for part in factors)
    )


def sum_of(parts: Sequence[Cumulants]) -> Cumulants:
    """Of a domain from those of its disjoint parts, by the law of total variance."""
    log_z = np.array([part.log_z for part in parts])
    top = log_z.max()
    weights = np.exp(log_z - top)
    total, weights = float(top + np.log(weights.sum())), weights / weights.sum()
    means = np.array([part.mean for part in parts])
    mean = float(weights @ means)
    variance = float(weights @ (np.array([part.variance for part in parts]) + (means - mean) ** 2))
    return Cumulants(total, mean, variance)


def without_centre(relative: Cumulants, dimension: int) -> Cumulants:
    """Of two particles with x_1 + x_2 = 0 from those of the integral over r = x_1 - x_2: a factor 2^(-d/2)."""
    return Cumulants(relative.log_z - dimension / 2 * log(2), relative.mean, relative.variance)


@dataclass(frozen=True)
class BoxedPair:
    """Two particles in a periodic box whose interaction ends inside the sphere that fits into the box."""

    volume: float
    dimension: int
    edges: tuple[float, ...]
    """Distances at which u is not smooth, in increasing order; the last one is the cut-off, beyond which u = 0."""

    def cumulants(self, u: RadialFunction) -> Cumulants:
        """Of both particles: Z = V (V - v(r_c) + integral over |r| < r_c of exp(-u)), v(r) the volume of a ball."""
        starts = (0.0, *self.edges[:-1])
        inner = [radial_cumulants(u, self.dimension, *ends) for ends in zip(starts, self.edges, strict=True)]
        log_ball = log_sphere_area(self.dimension) + self.dimension * log(self.edges[-1]) - log(self.dimension)
        outside = self.volume - float(np.exp(log_ball))
        relative = sum_of([*inner, Cumulants(log(outside), 0.0, 0.0)])
        return Cumulants(relative.log_z + log(self.volume), relative.mean, relative.variance)
