"""Powers of a mixture of normal distributions: Z(beta) = integral of p(x)^beta with p = sum_k w_k N(x; m_k, s_k^2).

At beta = 1 the mixture is normalised, ln Z = 0.  With one mode u = beta (d/2 ln(2 pi s^2) + |x - m|^2 / (2 s^2)), so

    ln Z = d/2 [(1 - beta) ln(2 pi s^2) - ln beta],      <u> = beta d/2 ln(2 pi s^2) + d/2,      var(u) = d/2.

With more modes in 1 or 2 dimensions Z is integrated over a box that reaches s_max sqrt(160 / beta) beyond the means:
there every component's power beta has fallen to e^-80 of its own maximum.

Second route for whole beta = n (multinomial expansion): p^n is a sum of products of n components, and each product
integrates to the closed form

    integral of prod_i N(x; m_i, s_i^2)
        = (2 pi)^(d (1 - n) / 2) prod_i s_i^-d S^(-d/2) exp(-1/2 sum_i |m_i - M|^2 / s_i^2)

with S = sum_i s_i^-2 and M = sum_i m_i s_i^-2 / S.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from math import factorial, log, pi, sqrt

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.quadrature import LineFunction, PlaneFunction, Spots, line_integrals, plane_integrals
from zoo.exact.temperatures import require_temperature
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.gaussian_mixture import GaussianMixtureSpec

MAX_MODES_IN_THE_PLANE = 25
"""Most modes of a quadrature in 2 dimensions: some seconds."""
MAX_MODES_AT_ANY_BETA = 8
"""Most modes that are tried in 2 dimensions at beta below ``MIN_BETA_IN_THE_PLANE``."""
MIN_BETA_IN_THE_PLANE = 1e-3
"""Below, the border lines between modes are so long beside their width that the quadrature hardly ever converges."""

_RISE = 80.0
_BLOCK = 1024
_MAX_PRODUCTS = 20_000


def exact_reference(spec: GaussianMixtureSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z at ``beta`` (which stands in for ``spec.beta``).

    Observables where known: ``energy`` <E>, at beta = 1 the differential entropy in nats; ``heat_capacity``
    beta^2 var(E) with k_B = 1; ``squared_norm`` <|x|^2>; ``first_mode`` the mean responsibility of the first mode, at
    beta = 1 its weight.

    Raises:
        InvalidValueError: a beta that is not positive and finite.
        NoExactReferenceError: at beta other than 1, several modes in more than 2 dimensions or more than 25 in 2 (8 at
            beta below 1e-3), or a quadrature that does not converge.
    """
    require_temperature(beta)
    dimension, modes = spec.space.num_sites, spec.num_modes
    if modes == 1:
        method, (log_z, observables) = "closed form", _one_mode(spec, beta)
    elif dimension == 1 or (dimension == 2 and modes <= _most_modes(beta)):
        try:
            method, (log_z, observables) = "quadrature", _by_quadrature(spec, beta)
        except NumericalError as error:
            if beta != 1:
                raise spec.no_exact_reference(error.detail) from error
            observables = {}
    elif beta == 1:
        observables = {}
    else:
        why = (
            f"beta is {beta:g} with {modes} modes in {dimension} dimensions; known are beta = 1, one mode, one "
            f"dimension, and 2 dimensions with at most {MAX_MODES_IN_THE_PLANE} modes, or {MAX_MODES_AT_ANY_BETA} at "
            f"beta below {MIN_BETA_IN_THE_PLANE:g}"
        )
        raise spec.no_exact_reference(why)
    if beta == 1:
        method, log_z, observables = "normalised", 0.0, observables | _moments(spec)
    return ExactReference(beta_f=-log_z + 0.0, method=method, citation=spec.citation, observables=observables)


def mixture_log_z_by_expansion(spec: GaussianMixtureSpec, beta: int) -> float:
    """Ln Z for a whole ``beta`` >= 1 in any dimension, by the multinomial expansion of p^beta.

    Raises:
        NumericalError: more than 20,000 different products.
    """
    m, s, w = spec.locations, spec.deviations, spec.probabilities
    d, log_terms = m.shape[1], []
    for number, chosen in enumerate(combinations_with_replacement(range(spec.num_modes), beta)):
        if number == _MAX_PRODUCTS:
            msg = f"{spec.num_modes} modes to the power {beta} have more than {_MAX_PRODUCTS} products"
            raise NumericalError(msg)
        k = np.array(chosen)
        stiffness = s[k] ** -2
        center = (m[k] * stiffness[:, None]).sum(0) / stiffness.sum()
        spread = (((m[k] - center) ** 2).sum(1) * stiffness).sum()
        repeats = np.prod([float(factorial(n)) for n in np.bincount(k)])
        log_product = (
            d / 2 * ((1 - beta) * log(2 * pi) + np.log(stiffness).sum() - np.log(stiffness.sum())) - spread / 2
        )
        log_terms.append(log(factorial(beta) / repeats) + np.log(w[k]).sum() + log_product)
    return float(np.logaddexp.reduce(log_terms))


def _most_modes(beta: float) -> int:
    return MAX_MODES_IN_THE_PLANE if beta >= MIN_BETA_IN_THE_PLANE else MAX_MODES_AT_ANY_BETA


def _one_mode(spec: GaussianMixtureSpec, beta: float) -> tuple[float, dict[str, float]]:
    """Ln Z and observables of a single normal distribution."""
    mean, s = spec.locations[0], float(spec.deviations[0])
    d = len(mean)
    level = log(2 * pi * s * s)
    cumulants = Cumulants(d / 2 * ((1 - beta) * level - log(beta)), d / 2 * (beta * level + 1), d / 2)
    squared_norm = float(mean @ mean) + d * s * s / beta
    return cumulants.log_z, _energies(cumulants, beta) | {"squared_norm": squared_norm, "first_mode": 1.0}


@lru_cache(maxsize=64)
def _by_quadrature(spec: GaussianMixtureSpec, beta: float) -> tuple[float, dict[str, float]]:
    """Ln Z and observables in 1 or 2 dimensions."""
    mixture = _Mixture.of(spec)
    reach = float(mixture.s.max()) * sqrt(2 * _RISE / beta)
    low, high = mixture.m.min(0) - reach, mixture.m.max(0) + reach
    spots = Spots(mixture.m, mixture.s / sqrt(max(1.0, beta)))

    def u(x: Float64[np.ndarray, "point d"]) -> Float64[np.ndarray, " point"]:
        return beta * mixture.energy(x)

    observables = {"squared_norm": lambda x: (x * x).sum(1)}
    if len(low) == 2:
        box = ((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
        cumulants, means = plane_integrals(u, *box, observables, spots)
    else:
        on_line = {name: _of_numbers(f) for name, f in observables.items()}
        cumulants, means = line_integrals(_of_numbers(u), float(low[0]), float(high[0]), on_line, spots)
    return cumulants.log_z, _energies(cumulants, beta) | means


def _moments(spec: GaussianMixtureSpec) -> dict[str, float]:
    """What is known at beta = 1 without integration."""
    m, s, w = spec.locations, spec.deviations, spec.probabilities
    squared_norm = float(w @ ((m * m).sum(1) + m.shape[1] * s * s))
    return {"squared_norm": squared_norm, "first_mode": float(w[0])}


def _energies(cumulants: Cumulants, beta: float) -> dict[str, float]:
    return {"energy": cumulants.mean / beta, "heat_capacity": cumulants.variance}


def _of_numbers(f: PlaneFunction) -> LineFunction:
    """A function of points with one coordinate as one of numbers."""
    return lambda x: f(x[:, None])


@dataclass(frozen=True)
class _Mixture:
    """Means, scales and logarithms of the heights w_k (2 pi s_k^2)^(-d/2)."""

    m: Float64[np.ndarray, "mode d"]
    s: Float64[np.ndarray, " mode"]
    log_heights: Float64[np.ndarray, " mode"]

    @classmethod
    def of(cls, spec: GaussianMixtureSpec) -> "_Mixture":
        """The mixture of ``spec``."""
        m, s = spec.locations, spec.deviations
        return cls(m, s, np.log(spec.probabilities) - m.shape[1] * (np.log(s) + log(2 * pi) / 2))

    def energy(self, x: Float64[np.ndarray, "point d"]) -> Float64[np.ndarray, " point"]:
        """-ln p at each point, block by block, so that a block stays in the processor's cache."""
        found = np.empty(len(x))
        for start in range(0, len(x), _BLOCK):
            block = slice(start, start + _BLOCK)
            offsets = (x[block, axis] - self.m[:, axis, None] for axis in range(self.m.shape[1]))
            terms = self.log_heights[:, None] - sum(d * d for d in offsets) * (0.5 / self.s**2)[:, None]
            largest = terms.max(0)
            found[block] = -largest - np.log(np.exp(terms - largest).sum(0))
        return found
