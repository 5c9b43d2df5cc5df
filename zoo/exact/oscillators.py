"""Normal modes of coupled oscillators, and what follows from them.

The energy is E = 1/2 x^T K x with K = k0 + k1 (discrete Laplacian of the chain).  Its eigenvectors are waves, and with
masses 1 its eigenvalues are the squared frequencies:

    ring     omega_k^2 = k0 + 4 k1 sin^2(pi k / n)              k = 0 .. n-1    v_jk ~ cos(2 pi j k / n) + sin(...)
    free     omega_k^2 = k0 + 4 k1 sin^2(pi k / 2n)             k = 0 .. n-1    v_jk ~ cos(pi k (j + 1/2) / n)
    fixed    omega_k^2 = k0 + 4 k1 sin^2(pi k / (2 (n + 1)))    k = 1 .. n      v_jk ~ sin(pi k (j + 1) / (n + 1))

(j counts from 0).  Each mode is one oscillator: ln Z_q = sum_k 1/2 ln(2 pi / (beta omega_k^2)), and each momentum adds
1/2 ln(2 pi / beta) with the measure dq dp, without a factor of h.

Second route.  Integrating the chain out oscillator by oscillator (Gelfand and Yaglom, J. Math. Phys. 1, 48 (1960))
gives the determinant itself, with cosh t = 1 + k0 / (2 k1):

    ring     det K = k1^n 4 sinh^2(n t / 2)
    free     det K = k1^n 2 tanh(t / 2) sinh(n t)
    fixed    det K = k1^n sinh((n + 1) t) / sinh(t),    k1^n (n + 1) at k0 = 0
"""

from math import asinh, exp, expm1, log, log1p, pi, sqrt, tanh

import numpy as np
from jaxtyping import Float64

from zoo.exact.gaussian import gaussian_cumulants
from zoo.exact.temperatures import require_temperature
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.coupled_oscillators import CoupledOscillatorsSpec


def exact_reference(spec: CoupledOscillatorsSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z at ``beta`` (which stands in for ``spec.beta``), Z over the positions and any momenta.

    Observables, per oscillator: ``energy_per_site`` <E> / n, ``heat_capacity_per_site`` beta^2 var(E) / n with k_B = 1,
    ``potential_energy_per_site`` 1 / (2 beta), ``mean_displacement`` 0, ``mean_square_displacement`` <sum_i x_i^2> / n,
    and ``kinetic_energy_per_site`` 1 / (2 beta) where there are momenta.

    Raises:
        InvalidValueError: a beta that is not positive and finite.
    """
    require_temperature(beta)
    squares = normal_modes(spec) ** 2
    masses = np.ones(spec.n) if spec.momenta else np.ones(0)
    cumulants = gaussian_cumulants(np.concatenate([squares, masses]), beta)
    observables = {
        "energy_per_site": cumulants.mean / (beta * spec.n),
        "heat_capacity_per_site": cumulants.variance / spec.n,
        "potential_energy_per_site": 1 / (2 * beta),
        "mean_displacement": 0.0,
        "mean_square_displacement": float((1 / squares).mean() / beta),
    }
    if spec.momenta:
        observables["kinetic_energy_per_site"] = 1 / (2 * beta)
    return ExactReference(
        beta_f=-cumulants.log_z, method="normal modes", citation=spec.citation, observables=observables
    )


def normal_modes(spec: CoupledOscillatorsSpec) -> Float64[np.ndarray, " n"]:
    """The frequencies omega_k of the n normal modes, in the order of k."""
    n = spec.n
    phase = {
        "ring": np.arange(n) * pi / n,
        "free": np.arange(n) * pi / (2 * n),
        "fixed": np.arange(1, n + 1) * pi / (2 * (n + 1)),
    }[spec.boundary]
    return np.sqrt(spec.onsite + 4 * spec.spring * np.sin(phase) ** 2)


def mode_vectors(spec: CoupledOscillatorsSpec) -> Float64[np.ndarray, "mode n"]:
    """The orthonormal normal modes, one a row, in the order of ``normal_modes``: K = V^T diag(omega^2) V."""
    n = spec.n
    k, j = np.arange(n)[:, None], np.arange(n)
    if spec.boundary == "ring":
        angle = 2 * pi * ((j * k) % n) / n
        return (np.cos(angle) + np.sin(angle)) / sqrt(n)
    if spec.boundary == "free":
        vectors = np.cos(pi * k * (j + 0.5) / n) * sqrt(2 / n)
        vectors[0] = 1 / sqrt(n)
        return np.asarray(vectors)
    return np.sin(pi * (k + 1) * (j + 1) / (n + 1)) * sqrt(2 / (n + 1))


def oscillators_log_z_by_transfer(spec: CoupledOscillatorsSpec, beta: float) -> float:
    """Ln Z from the determinants in hyperbolic functions, instead of the normal modes."""
    n = spec.n
    t = 2 * asinh(sqrt(spec.onsite / spec.spring) / 2)  # cosh t = 1 + 2 sinh^2(t/2) without cancellation
    if spec.boundary == "ring":
        log_det = 2 * (log(2) + _log_sinh(n * t / 2))
    elif spec.boundary == "free":
        log_det = log(2 * tanh(t / 2)) + _log_sinh(n * t)
    else:
        log_det = log(n + 1) if t == 0 else _log_sinh((n + 1) * t) - _log_sinh(t)
    momenta = n / 2 * log(2 * pi / beta) if spec.momenta else 0.0
    return n / 2 * log(2 * pi / (beta * spec.spring)) - log_det / 2 + momenta


def _log_sinh(x: float) -> float:
    """Ln sinh x for x > 0."""
    return x + log(-expm1(-2 * x)) - log(2) if x < 1 else x + log1p(-exp(-2 * x)) - log(2)
